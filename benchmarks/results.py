"""What a measurement comes to: percentiles, rows, and whether a bound held.

Pure arithmetic. Must not know how anything is measured or shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Summary:
    """A sample in one line. All fields but ``n`` are in the unit of the row that holds it."""

    n: int
    minimum: float
    p50: float
    p99: float
    p999: float
    maximum: float

    @classmethod
    def of(cls, sample: Iterable[float]) -> Summary:
        """Summarize at least one number."""
        ordered = sorted(sample)
        if not ordered:
            raise ValueError("nothing was measured")
        return cls(
            n=len(ordered),
            minimum=ordered[0],
            p50=percentile(ordered, 0.50),
            p99=percentile(ordered, 0.99),
            p999=percentile(ordered, 0.999),
            maximum=ordered[-1],
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest number of a sorted sample that at least ``share`` of it do not exceed (nearest rank).

    It is always a number that was measured; in a sample of fewer than 1,000, p99.9 is the maximum.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Judged(Enum):
    """What of a row is held against its bound. The value is how a table says it."""

    RATIO_P50 = "p50 / floor's p50"
    P50 = "p50"
    P999 = "p99.9"
    MAXIMUM = "maximum"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report.

    ``measured`` and ``floor`` were taken in turns, in one run. A row without a ``bound`` is there for information.
    ``how`` says what was done, so that the figure can be doubted and repeated.
    """

    figure: str
    name: str
    unit: str
    measured: Summary
    how: str
    floor: Summary | None = None
    floor_name: str | None = None
    judged: Judged = Judged.RATIO_P50
    bound: float | None = None
    below: bool = False
    warm_up: int = 0

    @property
    def ratio(self) -> float | None:
        """How many times the floor's median the median is."""
        return None if self.floor is None else self.measured.p50 / self.floor.p50

    @property
    def value(self) -> float | None:
        """The number that is held against the bound."""
        match self.judged:
            case Judged.RATIO_P50:
                return self.ratio
            case Judged.P50:
                return self.measured.p50
            case Judged.P999:
                return self.measured.p999
            case Judged.MAXIMUM:
                return self.measured.maximum

    @property
    def held(self) -> bool | None:
        """Whether the bound was kept; None where there is none. ``below`` bounds must not be touched."""
        if self.bound is None or self.value is None:
            return None
        return self.value < self.bound if self.below else self.value <= self.bound


def missed(rows: Iterable[Row]) -> list[Row]:
    """The rows whose bound was not kept."""
    return [row for row in rows if row.held is False]
