"""The reconciler: when PostgreSQL is asked, and what becomes of its answers. Used by whoever drives the line.

Owns the schedule of reads, the patience with messages that may explain themselves, and those who wait for a first
answer. Must not know sockets, threads or how a read is carried out (:mod:`hotconfig.runtime.reading`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from hotconfig.core.chain import Head
from hotconfig.core.drift import DriftWatch
from hotconfig.core.errors import ConfigurationError, HotConfigError
from hotconfig.core.followed import Followed, head_of
from hotconfig.core.line import Line
from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Outcome, Stale
from hotconfig.core.ports import Answer, Message, Notified
from hotconfig.core.schedule import ReadSchedule
from hotconfig.runtime.ledger import Ledger
from hotconfig.runtime.measuring import Measuring
from hotconfig.runtime.requests import StandingIn
from hotconfig.runtime.timing import Timing
from hotconfig.runtime.waiting import Waiting


class Reconciler:
    """Keeps the line equal to PostgreSQL.

    Args:
        line, ledger, measuring: What is driven, and where it is written down.
        ask: Has services read from where they stand; the answer comes back to :meth:`answered` or :meth:`unanswered`.
        hearing: Whether changes arrive without asking.
        timing: How often to ask.
        rng: For jitter.
    """

    def __init__(
        self,
        line: Line,
        ledger: Ledger,
        measuring: Measuring,
        ask: Callable[[Mapping[str, Head]], None],
        *,
        hearing: Callable[[], bool],
        timing: Timing,
        rng: random.Random,
    ) -> None:
        self.schedule: ReadSchedule = ReadSchedule(monotonic(), rng)
        self.waiting: Waiting = Waiting()
        self.drift: DriftWatch = DriftWatch()
        self._line = line
        self._ledger = ledger
        self._measuring = measuring
        self._ask = ask
        self._hearing = hearing
        self._timing = timing
        self._asked_at_s = 0.0

    @property
    def needed(self) -> bool:
        """Whether there is anything to ask for."""
        return bool(self._line.followed) or self.waiting.for_contact

    def tick(self, now_s: float) -> None:
        """Judge again what had patience, and ask if it is time."""
        for service in self.schedule.impatient(now_s):
            self._judge_again(service)
        if self.drift.suspects:
            self._ledger.counters.drift += self.drift.confirmed(now_s)
        if self.needed and self.schedule.begin(now_s):
            self._ledger.counters.reads += 1
            self._asked_at_s = now_s
            self._ask({name: head_of(followed) for name, followed in self._line.followed.items()})

    def judged(self, outcome: Outcome | None, message: Message | Notified | None) -> None:
        """Count what the line made of an input, and ask where only PostgreSQL can tell."""
        if outcome is None:
            return
        self._ledger.counters.count(outcome)
        if self.drift.suspects and outcome.service is not None:
            self.drift.heard(outcome.service)
        if isinstance(outcome, NeedsRead):
            if outcome.patient and message is not None:
                self.schedule.wait_a_moment(outcome.service, monotonic(), message)
            else:
                self.schedule.hint()

    def news_stopped(self) -> None:
        """A way for news is gone: ask sooner."""
        self.drift.interrupted()
        self.schedule.sooner(monotonic(), self._timing.poll_s)
        if self.waiting.for_loads:
            self.schedule.want()

    def answered(self, answer: Answer) -> None:
        """Take what PostgreSQL says about all services."""
        now_s = monotonic()
        untold = self.schedule.unprompted and self._hearing()
        self._line.keyring = answer.keyring
        outcomes: list[Outcome] = []
        for loaded in answer.loaded:
            outcome = self._measuring.load(loaded)
            outcomes.append(outcome)
            if isinstance(outcome, NeedsRead):
                self.schedule.hint()
            elif untold and isinstance(outcome, Applied) and not outcome.first:
                self._suspect(loaded.service, now_s)
        self._measuring.flush()
        self.schedule.answered(
            now_s,
            self._timing.reconcile_s if self._hearing() else self._timing.poll_s,
            in_recovery=answer.in_recovery,
            moved=not all(isinstance(outcome, Duplicate | Stale) for outcome in outcomes),
        )
        self._ledger.condition.answered(self._asked_at_s, confirms=_confirms(answer, outcomes))
        self._reckon()
        for loaded, outcome in zip(answer.loaded, outcomes, strict=True):
            self._settle(self._line.followed.get(loaded.service), outcome)
        self.waiting.contacted()

    def stand_in(self, asked: StandingIn) -> None:
        """Let the line show something until PostgreSQL answers."""
        outcome = self._line.stand_in(asked.followed, asked.given)
        if isinstance(outcome, Applied):
            self._ledger.condition.stood_in = True
            self._reckon()
            self.schedule.want()
        self.waiting.stood_in(asked, outcome)

    def unanswered(self, error: HotConfigError) -> None:
        """The read did not work."""
        self._ledger.counters.read_failures += 1
        self._ledger.condition.unanswered(monotonic())
        again = self.schedule.failed(monotonic())
        told = isinstance(error, ConfigurationError) and (self.waiting.for_contact or self.waiting.for_loads)
        self._ledger.note(error, again=again or told)
        if isinstance(error, ConfigurationError):
            self.waiting.give_up(error)

    def _reckon(self) -> None:
        """Before those are told who wait: they find the state that follows."""
        self._ledger.reckon(monotonic(), self._timing.stale_after_s)

    def _settle(self, followed: Followed[Any] | None, outcome: Outcome) -> None:
        if followed is not None and self.waiting.loaded(followed, outcome):
            self.schedule.patience.pop(followed.service, None)

    def _suspect(self, service: str, now_s: float) -> None:
        if service not in self.schedule.patience:  # else a message had told, and was given a moment
            self.drift.suspect(service, now_s)

    def _judge_again(self, service: str) -> None:
        """What explained itself meanwhile needs no read."""
        patience = self.schedule.patience.pop(service)
        again = [
            self._line.notified(*message) if isinstance(message, Notified) else self._line.receive(*message)
            for message in patience.messages
        ]
        self._measuring.flush()
        if not patience.messages:
            self.schedule.want()  # a first load that no confirmation came for
        elif any(isinstance(outcome, NeedsRead) for outcome in again):
            self.schedule.hint()


def _confirms(answer: Answer, outcomes: Iterable[Outcome]) -> bool:
    """A standby confirms what is shown here unless it is cut off, late, or behind what came by Redis."""
    if not answer.in_recovery:
        return True
    return answer.caught_up and not any(isinstance(outcome, Stale) for outcome in outcomes)
