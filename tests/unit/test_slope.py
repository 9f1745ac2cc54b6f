"""The judge of the soak: it sees growth where there is some, and none in noise."""

from __future__ import annotations

import random

from tests.soak.slope import drift_of, slope_of


def test_growth_is_seen_through_noise_and_noise_is_not_growth() -> None:
    rng = random.Random(7)
    x = [number * 10_000 for number in range(50)]
    flat = [64e6 + rng.gauss(0, 50_000) for _ in x]
    growing = [y + 2 * at for at, y in zip(x, flat, strict=True)]
    assert slope_of(x, flat).low < 0 < slope_of(x, flat).high
    found = slope_of(x, growing)
    assert found.low > 1
    assert found.low < 2 < found.high


def test_steps_up_and_down_are_no_drift_and_a_steady_leak_is_one() -> None:
    x = [10_000 * number for number in range(50)]
    rng = random.Random(7)
    steps = [rng.choice((-135_168, 0, 0, 0, 135_168)) for _ in x]
    wandering = [65_000_000 + sum(steps[: number + 1]) for number in range(len(x))]
    found = drift_of(x, wandering)
    assert found.low < 0 < found.high
    leaking = [at + 20 * changes for at, changes in zip(wandering, x, strict=True)]
    found = drift_of(x, leaking)
    assert 0 < found.low < 20 < found.high
