"""The ledger: what the line's thread writes down and other threads may read or wait for.

Owns counters, the state, the newest error, and who waits for a revision. Must not know where outcomes come from.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from hotconfig.core.errors import HotConfigError
from hotconfig.core.lateness import Lateness
from hotconfig.core.outcomes import Applied, Outcome, Rejected, Stage
from hotconfig.core.problems import one_line
from hotconfig.core.status import Counters, State
from hotconfig.runtime.worker import ending

logger = logging.getLogger("hotconfig.follower")


class Ledger:
    """Written by the line's thread alone, unless a method says otherwise."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.verified_at_s: float | None = None
        self.last_error: str | None = None
        self.state = State.NOT_READY
        self.since = datetime.now(UTC)
        self._lateness = Lateness()
        self._moved = threading.Condition()
        self._waiters = 0

    def enter(self, outcomes: Iterable[Outcome]) -> None:
        """Count and log outcomes, and wake who waits for a revision."""
        moved = False
        for outcome in outcomes:
            self.counters.count(outcome)
            if isinstance(outcome, Applied):
                moved = True
                if outcome.first:
                    logger.info("service %r: loaded at revision %d", outcome.service, outcome.revision)
                elif outcome.keys and logger.isEnabledFor(logging.INFO):
                    keys, by = ", ".join(sorted(outcome.keys)), outcome.by or "several"
                    logger.info(
                        "service %r: revision %d changed %s, by %s", outcome.service, outcome.revision, keys, by
                    )
            elif isinstance(outcome, Rejected) and outcome.stage is Stage.VALIDATE:
                moved = True
                logger.error(
                    "service %r: revision %s does not fit and is not shown: %s",
                    outcome.service,
                    outcome.revision,
                    one_line(outcome.problems),
                )
        if moved and self._waiters:
            self.wake()

    def note(self, error: HotConfigError, *, again: bool) -> None:
        """Keep the newest error. One that comes ``again`` is logged at DEBUG only."""
        self.last_error = str(error)
        logger.log(logging.DEBUG if again or ending() else logging.WARNING, "%s", self.last_error)

    def verified(self, now_s: float) -> None:
        """PostgreSQL confirmed the values."""
        self.verified_at_s = now_s

    def late(self, now_s: float, late_s: float) -> None:
        """The line's turn began so much after it was due."""
        if self._lateness.add(now_s, late_s):
            logger.warning(
                "changes were shown up to %.1f s late: something held the interpreter's lock or the processor", late_s
            )

    def lag_s(self, now_s: float) -> float:
        """The worst lateness of the last one to two minutes. Any thread."""
        return self._lateness.worst_s(now_s)

    def reckon(self, now_s: float, stale_after_s: float, *, redis_away: bool) -> None:
        """Find the state anew."""
        if self.verified_at_s is None:
            state = State.NOT_READY
        elif now_s - self.verified_at_s > stale_after_s:
            state = State.STALE
        else:
            state = State.DEGRADED if redis_away else State.READY
        if state is not self.state:
            level = logging.INFO if state is State.READY else logging.WARNING
            logger.log(logging.DEBUG if ending() else level, "state %s → %s", self.state.value, state.value)
            self.state, self.since = state, datetime.now(UTC)

    def close(self) -> None:
        """The last entry."""
        self.state, self.since = State.CLOSED, datetime.now(UTC)
        self.wake()

    def counted(self) -> dict[str, object]:
        """The counters, as a plain dict. Any thread."""
        return asdict(self.counters)

    def wait(self, arrived: Callable[[], bool], timeout_s: float) -> None:
        """Wait until ``arrived`` holds, looked at after every entry that moved something. Any thread."""
        with self._moved:
            self._waiters += 1
            try:
                self._moved.wait_for(arrived, timeout_s)
            finally:
                self._waiters -= 1

    def wake(self) -> None:
        """Let all who wait look again. Any thread."""
        with self._moved:
            self._moved.notify_all()
