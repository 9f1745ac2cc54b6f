"""Whether a series grows, and how sure one can be of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, linear_regression, stdev
from typing import NamedTuple

T_95 = 2.0
"""Student's t for 95 % and some fifty samples."""


class Slope(NamedTuple):
    """Growth per unit of x, with the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def slope_of(x: Sequence[float], y: Sequence[float]) -> Slope:
    """The least-squares slope of what wavers about a line: each sample is off by itself. At least three samples."""
    value, at_zero = linear_regression(x, y)
    middle = fmean(x)
    spread = sum((one - middle) ** 2 for one in x)
    residuals = sum((b - at_zero - value * a) ** 2 for a, b in zip(x, y, strict=True))
    margin = T_95 * math.sqrt(residuals / (len(x) - 2) / spread)
    return Slope(value, value - margin, value + margin)


def drift_of(x: Sequence[float], y: Sequence[float]) -> Slope:
    """The mean growth of what goes in steps and stays where it went, as RSS does. At least three evenly spaced samples.

    Each sample stands on the one before it, so the samples of such a series are off together, and a line through them
    would look far surer than it is. Its steps are independent: their mean is tested.
    """
    distance = (x[-1] - x[0]) / (len(x) - 1)
    steps = [(after - before) / distance for before, after in pairwise(y)]
    value = fmean(steps)
    margin = T_95 * stdev(steps) / math.sqrt(len(steps))
    return Slope(value, value - margin, value + margin)
