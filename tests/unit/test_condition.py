"""Which state follows from what was heard, and that no state changes for a moment's trouble."""

from __future__ import annotations

import pytest

from hotconfig.core.condition import POSTGRES_GRACE_S, REDIS_GRACE_S, REDIS_STEADY_S, Condition
from hotconfig.core.status import State

STALE_AFTER_S = 30.0


class Clock:
    """A condition and the time, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.condition = Condition()

    def answer(self, *, confirms: bool = True, took_s: float = 0.0) -> Clock:
        self.condition.answered(self.now_s - took_s, confirms=confirms)
        return self

    def redis(self, *, up: bool, lost_at_s: float | None = None) -> Clock:
        self.condition.redis(self.now_s, up, None if up else lost_at_s or self.now_s)
        return self

    def after(self, seconds: float) -> Clock:
        self.now_s += seconds
        return self

    @property
    def state(self) -> State:
        return self.condition.state(self.now_s, STALE_AFTER_S)


@pytest.fixture
def ready() -> Clock:
    clock = Clock().answer().redis(up=True)
    assert clock.state is State.READY
    return clock


def test_before_postgresql_answers_nothing_is_ready() -> None:
    clock = Clock()
    assert clock.state is State.NOT_READY
    clock.condition.unanswered(clock.now_s)
    assert clock.after(100).state is State.NOT_READY
    assert clock.redis(up=False).state is State.NOT_READY


def test_without_redis_an_answer_makes_ready() -> None:
    clock = Clock().answer()
    clock.condition.redis(clock.now_s, None, None)
    assert clock.state is State.READY


def test_values_not_confirmed_for_longer_than_the_bound_are_stale(ready: Clock) -> None:
    assert ready.after(STALE_AFTER_S).state is State.READY
    assert ready.after(0.001).state is State.STALE
    assert ready.answer().state is State.READY


def test_the_age_counts_from_the_question_not_from_the_answer(ready: Clock) -> None:
    ready.after(5).answer(took_s=5)
    assert ready.condition.verified_at_s == ready.now_s - 5
    assert ready.after(STALE_AFTER_S - 4).state is State.STALE


def test_reads_that_fail_for_longer_than_the_grace_are_an_outage(ready: Clock) -> None:
    ready.condition.unanswered(ready.now_s)
    assert ready.after(POSTGRES_GRACE_S - 0.1).state is State.READY
    ready.condition.unanswered(ready.now_s)
    assert ready.after(0.1).state is State.STALE
    assert ready.answer().state is State.READY
    ready.condition.unanswered(ready.now_s)
    assert ready.state is State.READY, "one failure counts from itself, not from an earlier outage"


def test_a_standby_confirms_nothing_but_is_an_answer() -> None:
    assert Clock().answer(confirms=False).state is State.STALE


def test_what_stands_in_is_stale_until_postgresql_confirms() -> None:
    clock = Clock()
    clock.condition.stood_in = True
    assert clock.state is State.STALE
    assert clock.answer().state is State.READY


def test_redis_that_was_never_there_degrades_at_once() -> None:
    assert Clock().answer().redis(up=False).state is State.DEGRADED


def test_one_lost_connection_changes_no_state(ready: Clock) -> None:
    ready.redis(up=False)
    assert ready.state is State.READY
    ready.after(0.05).redis(up=True)
    for _ in range(100):
        assert ready.after(0.01).redis(up=True).state is State.READY


def test_redis_away_for_longer_than_the_grace_degrades_until_it_is_steady(ready: Clock) -> None:
    ready.redis(up=False)
    assert ready.after(REDIS_GRACE_S - 0.01).redis(up=False).state is State.READY
    assert ready.after(0.01).redis(up=False).state is State.DEGRADED
    ready.after(10).redis(up=True)
    assert ready.after(REDIS_STEADY_S - 0.01).redis(up=True).state is State.DEGRADED
    assert ready.after(0.02).redis(up=True).state is State.READY


def test_redis_that_comes_and_goes_is_degraded_throughout(ready: Clock) -> None:
    states: list[State] = []
    for turn in range(200):
        ready.after(0.1).redis(up=turn % 3 == 0)
        states.append(ready.state)
    assert set(states[10:]) == {State.DEGRADED}


def test_a_silent_redis_is_in_trouble_since_it_was_pinged(ready: Clock) -> None:
    ready.after(1.0).redis(up=False, lost_at_s=ready.now_s - 1.0)
    assert ready.state is State.DEGRADED


def test_stale_outranks_degraded(ready: Clock) -> None:
    ready.redis(up=False).after(STALE_AFTER_S + 1).redis(up=False)
    assert ready.state is State.STALE
    assert ready.answer().state is State.DEGRADED


def test_a_forked_child_begins_with_what_its_parent_knew(ready: Clock) -> None:
    child = Condition()
    child.inherit(ready.condition)
    assert child.state(ready.now_s + 1, STALE_AFTER_S) is State.READY
    assert child.state(ready.now_s + STALE_AFTER_S + 1, STALE_AFTER_S) is State.STALE


def test_it_is_settled_unless_time_alone_may_change_it(ready: Clock) -> None:
    settled = [ready.condition.settled]
    ready.redis(up=False)
    settled.append(ready.condition.settled)
    ready.redis(up=True).after(REDIS_STEADY_S + 0.01).redis(up=True)
    settled.append(ready.condition.settled)
    ready.condition.unanswered(ready.now_s)
    settled.append(ready.condition.settled)
    assert settled == [True, False, True, False]
