"""The judge of the soak: it sees growth where there is some, and none in noise."""

from __future__ import annotations

import random

from tests.soak.slope import slope_of


def test_growth_is_seen_through_noise_and_noise_is_not_growth() -> None:
    rng = random.Random(7)
    x = [number * 10_000 for number in range(50)]
    flat = [64e6 + rng.gauss(0, 50_000) for _ in x]
    growing = [y + 2 * at for at, y in zip(x, flat, strict=True)]
    assert slope_of(x, flat).low < 0 < slope_of(x, flat).high
    found = slope_of(x, growing)
    assert found.low > 1
    assert found.low < 2 < found.high
