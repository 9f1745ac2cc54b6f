"""When to read PostgreSQL: at once, when hinted, when due. Pure: the clock is handed in, in monotonic seconds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from hotconfig.core.backoff import Backoff, TokenBucket, jittered
from hotconfig.core.ports import Message, Notified

PATIENCE_S: Final = 0.003
"""How long a message that is ahead of its parent may wait for it: concurrent writers publish out of order."""
NOTIFIED_PATIENCE_S: Final = 0.001
"""The same for a notification: of this process's own commit it comes before the commit's own answer."""
SUBSCRIBE_PATIENCE_S: Final = 1.5
"""How long a first load waits for the subscription to be confirmed, before it reads without one."""
HINTED_READS_PER_S: Final = 20.0
HINTED_READS_BURST: Final = 10.0
MAX_MISSES: Final = 8
"""How often in a row a standby may have nothing new, for some three seconds; then the next regular read does."""
IDLE_READS_PER_S: Final = 1.0
"""What hints still get when reads have found nothing new: a flood of forgeries reaches a thousand readers at once."""
MAX_PATIENT: Final = 1000
"""Messages of one service that may wait to be judged again. Beyond, PostgreSQL is asked anyway."""


@dataclass(slots=True)
class Patience:
    """Messages of one service that may explain themselves in a moment."""

    due_s: float
    messages: list[Message | Notified] = field(default_factory=list["Message | Notified"])


class ReadSchedule:
    """One read at a time, for all services together. One thread's own.

    Reads that somebody waits for, that a confirmed subscription asks for, or that are due go at once. Reads that a
    mere hint asks for are rationed, since anybody who reaches Redis can send hints; the ration halves with every such
    read that finds nothing new, and is whole again with the first that does.
    """

    def __init__(self, now_s: float, rng: random.Random) -> None:
        self.patience: dict[str, Patience] = {}
        self._rng = rng
        self._backoff = Backoff()
        self._bucket = TokenBucket(HINTED_READS_PER_S, HINTED_READS_BURST, HINTED_READS_BURST, now_s)
        self._wanted = False
        self._hinted = False
        self._under_way = False
        self._routine = False
        self._was_rationed = False
        self._failures = 0
        self._promised = False
        self._misses = 0
        self._due_s = now_s

    def want(self) -> None:
        """Read as soon as the read under way is answered, or at once."""
        self._wanted = True

    def hint(self) -> None:
        """Read as soon as the ration allows."""
        self._hinted = True

    def wait_a_moment(self, service: str, now_s: float, message: Message | Notified) -> None:
        """Keep a message to be judged again in a moment."""
        patience_s = NOTIFIED_PATIENCE_S if isinstance(message, Notified) else PATIENCE_S
        patience = self.patience.setdefault(service, Patience(now_s + patience_s))
        if len(patience.messages) < MAX_PATIENT:
            patience.messages.append(message)
        else:
            self.hint()

    def await_confirmation(self, service: str, now_s: float) -> None:
        """A first load: a confirmation will ask for the read, or else the end of patience."""
        self.patience[service] = Patience(now_s + SUBSCRIBE_PATIENCE_S)

    def impatient(self, now_s: float) -> list[str]:
        """The services whose patience is over."""
        return [service for service, patience in self.patience.items() if patience.due_s <= now_s]

    def next_s(self, now_s: float) -> float:
        """When there is something to do here, if nothing else happens."""
        times_s = [patience.due_s for patience in self.patience.values()]
        if not self._under_way:
            times_s.append(now_s if self._wanted else self._due_s)
            if self._hinted:
                times_s.append(self._bucket.ready_at_s(now_s))
        return min(times_s, default=now_s + 1.0)

    def begin(self, now_s: float) -> bool:
        """Whether to read now. True: the read is under way."""
        if self._under_way:
            return False
        rationed = self._hinted and self._bucket.ready_at_s(now_s) <= now_s
        if not (self._wanted or rationed or now_s >= self._due_s):
            return False
        if rationed:
            self._bucket.take(now_s)
        self._routine = not (self._wanted or self._hinted)
        self._was_rationed = rationed and not self._wanted
        if not self._routine and not self._promised:
            self._promised, self._misses = True, 0
        self._wanted = self._hinted = False
        self._under_way = True
        return True

    @property
    def unprompted(self) -> bool:
        """The read under way, or the last one, was merely due, and nothing has asked for one since."""
        return self._routine and not (self._wanted or self._hinted)

    def answered(self, now_s: float, interval_s: float, *, in_recovery: bool = False, moved: bool = True) -> None:
        """The read is over; the next is due after about ``interval_s``.

        A standby (``in_recovery``) that was asked for a reason may not have received yet what the reason was. It is
        soon asked again, until it had nothing new (``moved`` is false) for some time.
        """
        self._under_way = False
        self._failures = 0
        if moved:
            self._bucket.rate_per_s = HINTED_READS_PER_S
        elif self._was_rationed:
            self._bucket.rate_per_s = max(IDLE_READS_PER_S, self._bucket.rate_per_s / 2)
        self._due_s = now_s + jittered(interval_s, self._rng)
        self._misses = 0 if moved else self._misses + 1
        self._promised = self._promised and in_recovery and self._misses <= MAX_MISSES
        if self._promised:
            self._due_s = min(self._due_s, now_s + self._backoff.delay_s(max(1, self._misses), self._rng))

    def failed(self, now_s: float) -> bool:
        """The read did not work: back off. True: nor did the one before."""
        self._under_way = self._wanted = False
        self._failures += 1
        self._due_s = now_s + self._backoff.delay_s(self._failures, self._rng)
        return self._failures > 1

    def sooner(self, now_s: float, interval_s: float) -> None:
        """Do not wait longer than about ``interval_s`` from now."""
        self._due_s = min(self._due_s, now_s + jittered(interval_s, self._rng))
