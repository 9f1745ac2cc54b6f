"""A link to what brings news: opened on a thread of its own, watched by ping and pong, discarded whole at any error.

Owns when to connect, ping and give up. Must not know what the messages mean. The line's thread uses it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from hotconfig.core.backoff import Backoff
from hotconfig.core.errors import ConfigurationError, HotConfigError, RetryableError
from hotconfig.core.ports import Event, Subscription
from hotconfig.runtime.worker import Worker

logger: Final = logging.getLogger("hotconfig.link")

PING_INTERVAL_S: Final = 0.5
PONG_DEADLINE_S: Final = 1.0
DOUBT_S: Final = 0.35
"""A pong that takes longer makes PostgreSQL be asked: what is committed meanwhile has to be seen within one second."""
GRACE_S: Final = 0.25
"""How long connecting may take before it is called a failure."""
MAX_DELAY_S: Final = 0.5
"""Between attempts, at most: a server that comes back has to be in use again within one second."""
MISCONFIGURED_DELAY_S: Final = 15.0
"""Between attempts that only a person can make succeed: a wrong password, a missing grant, a pooler."""

OpenSubscription = Callable[[Iterable[str]], Subscription]


@dataclass(frozen=True, slots=True)
class Opened:
    """Connecting worked; subscribed to these services."""

    link: Link
    subscription: Subscription
    services: frozenset[str]


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """Connecting did not work."""

    link: Link
    error: HotConfigError


class Link:
    """At most one connection at a time.

    Args:
        name: What it leads to, for messages.
        open_subscription: Connects; called on a thread of its own.
        post: Hands :class:`Opened` or :class:`OpenFailed` to the line's thread.
        rng: For jitter.
    """

    def __init__(
        self,
        name: str,
        open_subscription: OpenSubscription,
        post: Callable[[Opened | OpenFailed], None],
        rng: random.Random,
    ) -> None:
        self.name = name
        self.subscription: Subscription | None = None
        self.failures: int = 0
        self.doubted: bool = False
        self._open_subscription = open_subscription
        self._post = post
        self._rng = rng
        self._backoff = Backoff(max_s=MAX_DELAY_S)
        self._services: set[str] = set()
        self._opening = False
        self._closed = False
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._needed_at_s: float | None = None
        self._open_at_s = 0.0
        self._pinged_at_s = 0.0
        self._heard_at_s = 0.0
        self._pong_awaited = False
        self.lost_at_s: float | None = None

    # lost_at_s: since when there is trouble; a server that went silent is in trouble since it was pinged.

    @property
    def connected(self) -> bool:
        """Connected, and subscribed since the last failure."""
        return self.subscription is not None and not self.failures

    def away(self, now_s: float) -> bool:
        """Failing, or needed for some time and not connected yet."""
        late = self._needed_at_s is not None and now_s - self._needed_at_s > GRACE_S
        return bool(self.failures) or (late and not self.connected)

    def next_s(self, now_s: float) -> float:
        """When there is something to do here, if nothing else happens."""
        if self.subscription is None:
            return now_s + PING_INTERVAL_S if self._opening else self._open_at_s
        if not self._pong_awaited:
            return self._pinged_at_s + PING_INTERVAL_S
        return max(self._pinged_at_s, self._heard_at_s) + (PONG_DEADLINE_S if self.doubted else DOUBT_S)

    def maybe_open(self, services: Iterable[str], now_s: float) -> None:
        """Connect if there is no connection and it is time to try.

        Name resolution and connecting may block, the line may not; hence the thread. Raises as :meth:`follow`.
        """
        self._needed_at_s = now_s if self._needed_at_s is None else self._needed_at_s
        if self.subscription is not None or self._opening or now_s < self._open_at_s:
            return
        worker = Worker(partial(self._open, frozenset(services)), "hotconfig-connect")
        worker.start()
        self._opening, self._worker = True, worker

    def opened(self, opened: Opened, now_s: float) -> Subscription:
        """Take over a new connection."""
        self._opening = False
        self.subscription = opened.subscription
        self._services = set(opened.services)
        self._pinged_at_s = self._heard_at_s = now_s
        self._pong_awaited = self.doubted = False
        return opened.subscription

    def follow(self, services: Iterable[str]) -> bool:
        """Hear these services too, where they are not heard yet. True: confirmations follow.

        Raises:
            HotConfigError: as every call of a subscription; :meth:`drop` it then.
        """
        missing = [service for service in services if service not in self._services]
        if self.subscription is None or not missing:
            return bool(missing)
        self._services.update(missing)
        return self.subscription.follow(missing)

    def receive(self, limit: int, now_s: float) -> list[Event]:
        """What has arrived. Raises as :meth:`follow`."""
        if self.subscription is None:
            return []
        events = self.subscription.receive(limit)
        if events:
            self._heard_at_s = now_s
        return events

    def confirmed(self) -> None:
        """A subscription stands: the connection is worth something."""
        self.failures = 0
        self.lost_at_s = None

    def ponged(self) -> None:
        """The answer to the ping came."""
        self._pong_awaited = self.doubted = False

    def watch(self, now_s: float) -> None:
        """Ping when it is time; give up when the pong is overdue. Call it after everything received was taken.

        Raises: as :meth:`follow`; ``RetryableError`` when the server is silent.
        """
        if self.subscription is None:
            return
        if self._pong_awaited:
            silent_s = now_s - max(self._pinged_at_s, self._heard_at_s)
            self.doubted = silent_s >= DOUBT_S
            if silent_s > PONG_DEADLINE_S:
                raise RetryableError(f"{self.name} did not answer a ping within {PONG_DEADLINE_S} s")
        elif now_s - self._pinged_at_s >= PING_INTERVAL_S:
            self._pinged_at_s, self._pong_awaited = now_s, True
            self.subscription.ping()

    def drop(self, error: HotConfigError, now_s: float) -> None:
        """Discard the connection, or a failed attempt, and back off; for long where only a person can help.

        redis-py's own reconnecting would hide the gap, and behind Sentinel cling to a demoted master.
        """
        if self.lost_at_s is None:
            self.lost_at_s = self._pinged_at_s if self.subscription is not None and self._pong_awaited else now_s
        self.dismiss()
        self._opening = False
        self.failures += 1
        delay_s = self._backoff.delay_s(self.failures, self._rng)
        self._open_at_s = now_s + (MISCONFIGURED_DELAY_S if isinstance(error, ConfigurationError) else delay_s)

    def refuse(self, opened: Opened) -> None:
        """A connection that is not needed any more when it comes."""
        self._opening = False
        opened.subscription.close()

    def dismiss(self) -> None:
        """Close the connection, if there is one, because it is not needed."""
        self._needed_at_s = None
        self.doubted = False
        subscription, self.subscription = self.subscription, None
        if subscription is not None:
            subscription.close()

    def close(self) -> None:
        """The end: nothing is posted any more, and a connection that is being made is closed when it comes."""
        with self._lock:
            self._closed = True
        self.dismiss()

    def abandon(self) -> None:
        """In a forked child: let go without a word. Takes no lock: nobody can release it."""
        self._closed = True
        if self._worker is not None:
            self._worker.abandon()
        if self.subscription is not None:
            self.subscription.abandon()

    def join(self, timeout_s: float) -> bool:
        """Wait for an attempt under way; False if it did not end in time. Any thread."""
        return self._worker is None or self._worker.join(timeout_s)

    def _open(self, services: frozenset[str]) -> None:
        try:
            subscription = self._open_subscription(services)
            with self._lock:
                if not self._closed:
                    self._post(Opened(self, subscription, services))
                    return
            subscription.close()
        except HotConfigError as error:
            self._post(OpenFailed(self, error))
        except BaseException as error:  # outermost loop of this small worker: silence would end all attempts
            if isinstance(error, GeneratorExit):
                raise
            logger.exception("connecting to %s failed in an unforeseen way", self.name)
            said = f"connecting to {self.name} failed: {type(error).__name__}"
            self._post(OpenFailed(self, RetryableError(said)))
