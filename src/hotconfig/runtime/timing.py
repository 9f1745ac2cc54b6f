"""How often a process compares with PostgreSQL, and when it calls its values stale."""

from __future__ import annotations

from dataclasses import dataclass

from hotconfig.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Timing:
    """How often and how long, in seconds.

    Attributes:
        reconcile_s: Between two comparisons with PostgreSQL, give or take a quarter, while news arrives by Redis or
            ``LISTEN``. While ``READY``, a process is never further behind than 1.25 times this and one read.
        poll_s: The same while no news arrives. The default lets a change be seen within one second by polling alone.
        stale_after_s: Unconfirmed for longer than this is called stale. Keep it above 1.25 times ``reconcile_s``.
    """

    reconcile_s: float = 10.0
    poll_s: float = 0.75
    stale_after_s: float = 30.0

    def __post_init__(self) -> None:
        """Raises ``UsageError`` for what is no time."""
        for name, seconds in (("reconcile_s", self.reconcile_s), ("poll_s", self.poll_s)):
            if not 0.01 <= seconds <= 86_400:
                raise UsageError(f"Timing.{name} takes seconds from 0.01 to 86,400, not {seconds}")
