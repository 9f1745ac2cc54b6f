"""Which state a process is in, from what was heard of PostgreSQL and Redis, and when.

Owns the bounds and the hysteresis: a connection that breaks and is back in a moment is no outage, and a server that
comes and goes is not back. Pure: the clock is handed in, in monotonic seconds. One thread's own.
"""

from __future__ import annotations

from typing import Final

from hotconfig.core.status import State

POSTGRES_GRACE_S: Final = 2.0
"""How long reads may fail in a row before PostgreSQL is called away: about five attempts."""
REDIS_GRACE_S: Final = 0.5
"""How long Redis may be in trouble before that is a state. Not at first, when nobody has seen it work yet."""
REDIS_STEADY_S: Final = 0.3
"""How long Redis has to be connected before its trouble is over. Below the grace, so that one lost connection
changes no state."""


class Condition:
    """What is known, and the state that follows from it."""

    def __init__(self) -> None:
        self.verified_at_s: float | None = None
        self.heard: bool = False
        self.stood_in: bool = False
        self._failing_since_s: float | None = None
        self._trouble_since_s: float | None = None
        self._well_since_s: float | None = None
        self._redis_was_well = False

    # heard: some PostgreSQL has answered, if only a standby. stood_in: values from elsewhere are shown in its place.

    @property
    def failing(self) -> bool:
        """PostgreSQL's last answer was none."""
        return self._failing_since_s is not None

    @property
    def settled(self) -> bool:
        """Nothing is under observation: the state changes by what comes in, or by values growing old."""
        return self._failing_since_s is None and self._trouble_since_s is None

    def answered(self, asked_at_s: float, *, confirms: bool) -> None:
        """PostgreSQL answered. A standby's answer confirms nothing: it may be behind.

        ``asked_at_s`` is when it was asked, since the answer may be that old.
        """
        self.heard = True
        self._failing_since_s = None
        if confirms:
            self.verified_at_s = asked_at_s

    def unanswered(self, now_s: float) -> None:
        """A read failed."""
        if self._failing_since_s is None:
            self._failing_since_s = now_s

    def inherit(self, parent: Condition) -> None:
        """In a forked child: what the parent knew about the values holds for their copies."""
        self.verified_at_s, self.heard, self.stood_in = parent.verified_at_s, parent.heard, parent.stood_in

    def redis(self, now_s: float, connected: bool | None, lost_at_s: float | None) -> None:
        """How Redis stands now.

        Args:
            now_s: The clock.
            connected: None where there is none.
            lost_at_s: Since when it is not there; None also while it is not needed, or just being connected.
        """
        if lost_at_s is not None:
            self._well_since_s = None
            if self._trouble_since_s is None:
                self._trouble_since_s = lost_at_s
        elif connected:
            if self._well_since_s is None:
                self._well_since_s = now_s
            if self._trouble_since_s is None or now_s - self._well_since_s >= REDIS_STEADY_S:
                self._trouble_since_s, self._redis_was_well = None, True

    def state(self, now_s: float, stale_after_s: float) -> State:
        """The state at this moment. ``stale_after_s``: how old the last confirmation may be."""
        if not self.heard and not self.stood_in:
            return State.NOT_READY
        if self._is_stale(now_s, stale_after_s):
            return State.STALE
        grace_s = REDIS_GRACE_S if self._redis_was_well else 0.0
        away = self._trouble_since_s is not None and now_s - self._trouble_since_s >= grace_s
        return State.DEGRADED if away else State.READY

    def _is_stale(self, now_s: float, stale_after_s: float) -> bool:
        if self._failing_since_s is not None and now_s - self._failing_since_s >= POSTGRES_GRACE_S:
            return True
        return self.verified_at_s is None or now_s - self.verified_at_s > stale_after_s
