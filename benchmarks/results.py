"""What a measurement comes to: percentiles, rows, and whether a bound held.

Pure arithmetic. Must not know how anything is measured or shown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from benchmarks.intervals import Interval, interval_of_median, paired

KEPT: Final = 400
"""How many numbers of a sample are kept for its picture."""
BLOCKS: Final = 30
"""In how many stretches of consecutive numbers a sample is cut for the comparison of two runs."""


class UnavailableError(Exception):
    """A figure cannot be measured here. The message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A sample in one line. All fields but ``n`` are in the unit of the row that holds it.

    ``kept`` is the sample itself, sorted, where it is small; else :data:`KEPT` of its numbers, evenly spaced by rank
    but for the hundred greatest. ``blocks`` are the medians of up to :data:`BLOCKS` stretches, in the order of time.
    """

    n: int
    minimum: float
    p50: float
    p99: float
    p999: float
    maximum: float
    kept: tuple[float, ...] = field(default=(), compare=False, repr=False)
    blocks: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, sample: Iterable[float]) -> Summary:
        """Summarize at least one number; they are given in the order of time."""
        numbers = [float(value) for value in sample]
        ordered = sorted(numbers)
        if not ordered:
            raise ValueError("nothing was measured")
        return cls(
            n=len(ordered),
            minimum=ordered[0],
            p50=percentile(ordered, 0.50),
            p99=percentile(ordered, 0.99),
            p999=percentile(ordered, 0.999),
            maximum=ordered[-1],
            kept=thinned(ordered),
            blocks=medians(numbers, BLOCKS),
        )

    @classmethod
    def loaded(cls, stored: Mapping[str, Any]) -> Summary:
        """What ``dataclasses.asdict`` made of one, and JSON of that."""
        return cls(**{**stored, "kept": tuple(stored["kept"]), "blocks": tuple(stored["blocks"])})


def thinned(ordered: Sequence[float]) -> tuple[float, ...]:
    """At most :data:`KEPT` numbers of a sorted sample; the least and the hundred greatest are always among them."""
    if len(ordered) <= KEPT:
        return tuple(ordered)
    tail = 100
    body, step = len(ordered) - tail, (len(ordered) - tail) / (KEPT - tail)
    return (*(ordered[min(body - 1, int(number * step))] for number in range(KEPT - tail)), *ordered[-tail:])


def medians(numbers: Sequence[float], blocks: int) -> tuple[float, ...]:
    """The medians of at most so many stretches of about equal length."""
    blocks = min(blocks, len(numbers))
    edges = [len(numbers) * number // blocks for number in range(blocks + 1)]
    return tuple(percentile(sorted(numbers[begin:end]), 0.50) for begin, end in itertools.pairwise(edges))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest number of a sorted sample that at least ``share`` of it do not exceed (nearest rank).

    It is always a number that was measured; in a sample of fewer than 1,000, p99.9 is the maximum.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Judged(Enum):
    """What of a row is held against its bound. The value is how a table says it."""

    RATIO_P50 = "ratio"
    P50 = "p50"
    P99 = "p99"
    P999 = "p99.9"
    MAXIMUM = "maximum"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report.

    ``measured`` and ``floor`` were taken in turns, in one run. A row without a ``bound`` is there for information.
    ``how`` says what was done, so that the figure can be doubted and repeated.

    ``floor`` is the least that there can be, or, with ``peer``, another library or way that does the same; what it is,
    ``floor_name`` says. ``also`` holds further numbers about the measured arm, by names that contain their units:
    ``{"queries per change": 0, "bytes per change": 612.0, "CPU per change [ms]": 0.4}``.

    Rows that show how something grows have the same ``along`` ("readers"), and ``at`` says where each stands.
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
    peer: bool = False
    also: Mapping[str, float] = field(default_factory=dict)
    along: str | None = None
    at: float | None = None

    @property
    def label(self) -> str:
        """What tells the row from all others of a run."""
        where = "" if self.at is None else f", {self.at:,g} {self.along}"
        return f"{self.figure}: {self.name}{where}"

    @property
    def ratio(self) -> float | None:
        """How many times the floor's median the median is."""
        if self.floor is None:
            return None
        return self.measured.p50 / self.floor.p50 if self.floor.p50 else math.inf

    @property
    def ratio_interval(self) -> Interval | None:
        """Where :attr:`ratio` lies with 95 % confidence, as far as this run can say."""
        return None if self.floor is None else interval_of_median(paired(self.measured.blocks, self.floor.blocks))

    @property
    def value(self) -> float | None:
        """The number that is held against the bound."""
        match self.judged:
            case Judged.RATIO_P50:
                return self.ratio
            case Judged.P50:
                return self.measured.p50
            case Judged.P99:
                return self.measured.p99
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


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that one run came to. ``absent`` and ``failed`` say by figure why it has no rows."""

    environment: Mapping[str, Any]
    rows: Sequence[Row]
    took_s: Mapping[str, float]
    absent: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def missed(rows: Iterable[Row]) -> list[Row]:
    """The rows whose bound was not kept."""
    return [row for row in rows if row.held is False]
