"""Straight lines through what was measured, by plain least squares. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import linear_regression
from typing import Self


@dataclass(frozen=True, slots=True)
class Fit:
    """``base + slope * x``, and what the same rule made of all points but the largest says about that one."""

    base: float
    slope: float
    largest: float
    foretold: float
    """What the smaller points alone predict for the largest."""
    found: float
    """What was measured there."""

    @classmethod
    def through(cls, points: Mapping[float, float]) -> Self:
        """Needs at least three different x."""
        if len(points) < 3:
            raise ValueError("a line and its check need three points")
        largest = max(points)
        slope, base = linear_regression(list(points), list(points.values()))
        smaller = {x: y for x, y in points.items() if x != largest}
        check_slope, check_base = linear_regression(list(smaller), list(smaller.values()))
        return cls(base, slope, largest, check_base + check_slope * largest, points[largest])

    def at(self, x: float) -> float:
        """The line's value."""
        return self.base + self.slope * x
