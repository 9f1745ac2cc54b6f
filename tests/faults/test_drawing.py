"""Schedules: the same for the same seed, bounded in time, and between them all that can happen."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.harness.drawing import FEWEST, MOST, Kind, Target, draw
from tests.faults.harness.performing import ACTS

SEEDS = st.integers(0, 2**32)


@settings(deadline=None)
@given(SEEDS)
def test_a_seed_draws_the_same_schedule_every_time(seed: int) -> None:
    assert draw(seed, 1.5) == draw(seed, 1.5)


@settings(deadline=None)
@given(SEEDS, st.floats(0.5, 10))
def test_everything_begins_and_ends_within_the_duration(seed: int, duration_s: float) -> None:
    faults = draw(seed, duration_s).faults
    assert len(faults) <= MOST
    assert all(fault.at_s >= 0 and fault.at_s + fault.lasts_s <= duration_s + 0.002 for fault in faults)


@settings(deadline=None)
@given(SEEDS)
def test_faults_of_one_target_do_not_overlap(seed: int) -> None:
    over_s = dict.fromkeys(Target, -1.0)
    for fault in draw(seed, 5.0).faults:
        assert fault.at_s > over_s[fault.target]
        over_s[fault.target] = fault.at_s + fault.lasts_s


def test_fifty_seeds_draw_every_kind() -> None:
    schedules = [draw(seed, 1.5) for seed in range(1, 51)]
    assert {fault.kind for schedule in schedules for fault in schedule.faults} == set(Kind)
    assert sum(len(schedule.faults) for schedule in schedules) > 50 * FEWEST


def test_a_schedule_says_its_seed_and_every_fault() -> None:
    schedule = draw(7, 1.5)
    assert str(schedule).startswith("seed 7, 1.5 s")
    assert len(str(schedule).splitlines()) == 1 + len(schedule.faults)


def test_every_kind_can_be_carried_out() -> None:
    assert ACTS.keys() == set(Kind)
