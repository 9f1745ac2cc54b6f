"""How late the line runs: the worst of the last minute or two. Pure; the clock is handed in, in monotonic seconds."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 60.0
NOTABLE_S: Final = 1.0
"""From here on lateness is worth a word in the log, once per window."""


class Lateness:
    """Keeps the worst of this window and of the one before, so that whoever looks each minute misses none."""

    def __init__(self) -> None:
        self._begun_s = 0.0
        self._worst_s = 0.0
        self._before_s = 0.0

    def add(self, now_s: float, late_s: float) -> bool:
        """Take one measurement. True: it is the first notable one of its window."""
        self._turn_over(now_s)
        quiet_s, self._worst_s = self._worst_s, max(self._worst_s, late_s)
        return quiet_s < NOTABLE_S <= late_s

    def worst_s(self, now_s: float) -> float:
        """The worst of this window and the one before."""
        age_s = now_s - self._begun_s
        if age_s < WINDOW_S:
            return max(self._worst_s, self._before_s)
        return self._worst_s if age_s < 2 * WINDOW_S else 0.0

    def _turn_over(self, now_s: float) -> None:
        age_s = now_s - self._begun_s
        if age_s >= WINDOW_S:
            self._before_s = self._worst_s if age_s < 2 * WINDOW_S else 0.0
            self._begun_s, self._worst_s = now_s, 0.0
