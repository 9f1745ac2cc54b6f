"""How sure a ratio is: bootstrap intervals. Pure arithmetic.

Neighbours in a sample resemble each other, because the machine has moods. Single numbers drawn as if they were
independent would promise too narrow an interval; so stretches of consecutive numbers are drawn, by their medians. Arms
that took turns lived through the same stretches, which is why their ratio is taken stretch by stretch.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import median
from typing import Final

DRAWS: Final = 2000
LEAST_BLOCKS: Final = 8
"""With fewer stretches nothing is said."""

Interval = tuple[float, float]


def paired(measured: Sequence[float], floor: Sequence[float]) -> list[float]:
    """The ratio in each stretch; empty where the arms were not cut alike."""
    if len(measured) != len(floor) or not all(floor):
        return []
    return [above / below for above, below in zip(measured, floor, strict=True)]


def interval_of_median(blocks: Sequence[float]) -> Interval | None:
    """Where the median lies with 95 % confidence."""
    return None if len(blocks) < LEAST_BLOCKS else _middle([_drawn(blocks, chance) for chance in _chances()])


def interval_of_ratio(later: Sequence[float], earlier: Sequence[float]) -> Interval | None:
    """Where ``later``'s median lies with 95 % confidence, as a multiple of that of ``earlier``."""
    if min(len(later), len(earlier)) < LEAST_BLOCKS or not all(earlier):
        return None
    return _middle([_drawn(later, chance) / _drawn(earlier, chance) for chance in _chances()])


def _chances() -> list[random.Random]:
    """The same in every run, so that a comparison of two files has one outcome."""
    chance = random.Random(0)
    return [chance] * DRAWS


def _drawn(blocks: Sequence[float], chance: random.Random) -> float:
    return median(chance.choices(blocks, k=len(blocks)))


def _middle(found: list[float]) -> Interval:
    found.sort()
    return found[round(0.025 * len(found))], found[round(0.975 * len(found)) - 1]
