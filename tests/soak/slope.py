"""Whether a series grows: least squares, and how sure one can be of its slope."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, linear_regression
from typing import NamedTuple

T_95 = 2.0
"""Student's t for 95 % and some fifty samples."""


class Slope(NamedTuple):
    """Growth per unit of x, with the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def slope_of(x: Sequence[float], y: Sequence[float]) -> Slope:
    """The slope of y over x; at least three samples."""
    value, at_zero = linear_regression(x, y)
    middle = fmean(x)
    spread = sum((one - middle) ** 2 for one in x)
    residuals = sum((b - at_zero - value * a) ** 2 for a, b in zip(x, y, strict=True))
    margin = T_95 * math.sqrt(residuals / (len(x) - 2) / spread)
    return Slope(value, value - margin, value + margin)
