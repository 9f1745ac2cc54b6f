"""The ledger: what the line's thread writes down and other threads may read or wait for.

Owns counters, the state, the newest error, and who waits for a revision. Must not know where outcomes come from.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Final

from hotconfig.core.condition import Condition
from hotconfig.core.errors import HotConfigError
from hotconfig.core.lateness import Lateness
from hotconfig.core.outcomes import Applied, Outcome, Rejected, Stage
from hotconfig.core.status import Counters, State, StateChanged
from hotconfig.runtime import records
from hotconfig.runtime.worker import ending

logger: Final = logging.getLogger("hotconfig.follower")


class Ledger:
    """Written by the line's thread alone, unless a method says otherwise."""

    def __init__(self) -> None:
        self.counters: Counters = Counters()
        self.condition: Condition = Condition()
        self.tell_state: Callable[[StateChanged], None] | None = None
        self.last_error: str | None = None
        self.state: State = State.NOT_READY
        self.since: datetime = datetime.now(UTC)
        self._lateness = Lateness()
        self._moved = threading.Condition()
        self._waiters = 0

    def enter(self, outcomes: Iterable[Outcome]) -> None:
        """Count and log outcomes, and wake who waits for a revision."""
        moved: Outcome | None = None
        for outcome in outcomes:
            self.counters.count(outcome)
            if outcome is moved:
                continue  # commits taken together share one outcome, and one record
            if isinstance(outcome, Applied):
                moved = outcome
                if logger.isEnabledFor(logging.INFO):
                    records.log_applied(outcome)
            elif isinstance(outcome, Rejected) and outcome.stage is Stage.VALIDATE:
                moved = outcome
                records.log_rejected(outcome)
        if moved is not None and self._waiters:
            self.wake()

    def note(self, error: HotConfigError, *, again: bool) -> None:
        """Keep the newest error. One that comes ``again`` is logged at DEBUG only."""
        self.last_error = str(error)
        logger.log(logging.DEBUG if again or ending() else logging.WARNING, "%s", self.last_error)

    @property
    def verified_at_s(self) -> float | None:
        """When the question was asked to which PostgreSQL last answered that the values are current. Any thread."""
        return self.condition.verified_at_s

    def late(self, now_s: float, late_s: float) -> None:
        """The line's turn began so much after it was due."""
        if self._lateness.add(now_s, late_s):
            logger.warning(
                "changes were shown up to %.1f s late: something held the interpreter's lock or the processor", late_s
            )

    def lag_s(self, now_s: float) -> float:
        """The worst lateness of the last one to two minutes. Any thread."""
        return self._lateness.worst_s(now_s)

    def reckon(self, now_s: float, stale_after_s: float) -> None:
        """Find the state anew."""
        state = self.condition.state(now_s, stale_after_s)
        if state is not self.state:
            level = logging.INFO if state is State.READY else logging.WARNING
            level = logging.DEBUG if ending() else level
            logger.log(level, "state %s → %s", self.state.value, state.value, extra={"hotconfig_state": state.value})
            self._become(state)

    def close(self) -> None:
        """The last entry."""
        self._become(State.CLOSED)
        self.wake()

    def _become(self, state: State) -> None:
        old = self.state
        # since first: who sees the new state must not see the old time.
        self.since = datetime.now(UTC)
        self.state = state
        if self.tell_state is not None:
            error = None if state is State.READY else self.last_error
            self.tell_state(StateChanged(old, state, self.since, error))

    def counted(self) -> dict[str, object]:
        """The counters, as a plain dict. Any thread."""
        counted: dict[str, object] = {each.name: getattr(self.counters, each.name) for each in fields(self.counters)}
        # Copied whole: the line adds to it, and an iteration over it would break.
        counted["rejected"] = dict(self.counters.rejected)
        return counted

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
