"""Delays."""

from __future__ import annotations

import random

import pytest

from hotconfig.core.backoff import Backoff, TokenBucket, jittered


@pytest.mark.parametrize("failures", [1, 2, 5, 40, 5000])
def test_delays_double_up_to_the_ceiling_and_are_never_in_step(failures: int) -> None:
    backoff = Backoff(first_s=0.1, max_s=3.0)
    nominal = min(3.0, 0.1 * 2 ** min(failures - 1, 10))
    delays = {backoff.delay_s(failures, random.Random(seed)) for seed in range(50)}
    assert all(nominal / 2 <= delay <= nominal for delay in delays)
    assert len(delays) > 40


def test_intervals_are_spread_over_half_of_their_length() -> None:
    spread = [jittered(8.0, random.Random(seed)) for seed in range(300)]
    assert all(6.0 <= delay <= 10.0 for delay in spread)
    assert min(spread) < 6.5
    assert max(spread) > 9.5


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3.0, tokens=3.0, at_s=100.0)
    taken: list[float] = []
    now_s = 100.0
    for _ in range(7):
        now_s = max(now_s, bucket.ready_at_s(now_s))
        bucket.take(now_s)
        taken.append(now_s)
    assert taken == pytest.approx([100.0, 100.0, 100.0, 100.5, 101.0, 101.5, 102.0])


def test_tokens_do_not_pile_up_beyond_the_burst() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3.0, tokens=0.0, at_s=0.0)
    assert bucket.ready_at_s(0.0) == pytest.approx(0.5)
    assert bucket.ready_at_s(1000.0) == 1000.0
    assert bucket.tokens == 3.0
