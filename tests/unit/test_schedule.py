"""When PostgreSQL is read: at once where somebody waits, rationed where a mere hint asks, with jitter otherwise."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hotconfig.core.ports import Message
from hotconfig.core.schedule import (
    HINTED_READS_BURST,
    HINTED_READS_PER_S,
    IDLE_READS_PER_S,
    MAX_MISSES,
    MAX_PATIENT,
    PATIENCE_S,
    SUBSCRIBE_PATIENCE_S,
    ReadSchedule,
)

MESSAGE = Message(b"config:ai:threshold", b"0.90")


@pytest.fixture
def schedule() -> ReadSchedule:
    made = ReadSchedule(0.0, random.Random(1))
    assert made.begin(0.0)
    made.answered(0.0, interval_s=10.0)
    return made


def test_nothing_is_read_before_it_is_due(schedule: ReadSchedule) -> None:
    assert not schedule.begin(1.0)
    assert 7.5 <= schedule.next_s(1.0) <= 12.5
    assert schedule.begin(12.5)


def test_a_wanted_read_goes_at_once_and_only_once(schedule: ReadSchedule) -> None:
    schedule.want()
    assert schedule.next_s(1.0) == 1.0
    assert schedule.begin(1.0)
    assert not schedule.begin(1.0)


def test_a_read_wanted_while_another_is_under_way_follows_it(schedule: ReadSchedule) -> None:
    schedule.want()
    assert schedule.begin(1.0)
    schedule.want()
    assert not schedule.begin(1.0)
    schedule.answered(1.1, interval_s=10.0)
    assert schedule.begin(1.1)


def test_any_number_of_hints_costs_a_rationed_number_of_reads(schedule: ReadSchedule) -> None:
    reads = 0
    seconds = 10
    for step in range(seconds * 10_000):
        now_s = step / 10_000
        schedule.hint()
        if schedule.begin(now_s):
            reads += 1
            schedule.answered(now_s, interval_s=1000.0)
    assert reads <= HINTED_READS_BURST + HINTED_READS_PER_S * seconds + 1
    assert reads >= HINTED_READS_PER_S * seconds


def flooded(schedule: ReadSchedule, begin_s: float, seconds: int) -> int:
    """How many reads a flood of hints that mean nothing costs."""
    reads = 0
    for step in range(seconds * 1000):
        now_s = begin_s + step / 1000
        schedule.hint()
        if schedule.begin(now_s):
            reads += 1
            schedule.answered(now_s, interval_s=1000.0, moved=False)
    return reads


def test_hints_that_lead_to_nothing_new_get_fewer_and_fewer_reads(schedule: ReadSchedule) -> None:
    assert flooded(schedule, 0.0, 10) <= HINTED_READS_BURST + 10 * IDLE_READS_PER_S + 2
    assert 59 <= flooded(schedule, 10.0, 60) <= 61
    schedule.want()
    schedule.begin(70.0)
    schedule.answered(70.0, interval_s=1000.0, moved=True)
    schedule.hint()
    assert not schedule.begin(70.04)
    assert schedule.begin(70.06)


def test_a_flood_of_hints_does_not_hold_up_a_wanted_read(schedule: ReadSchedule) -> None:
    for _ in range(int(HINTED_READS_BURST) + 1):
        schedule.hint()
        schedule.begin(1.0)
        schedule.answered(1.0, interval_s=1000.0)
    schedule.hint()
    assert not schedule.begin(1.0)
    schedule.want()
    assert schedule.begin(1.0)


def test_a_failed_read_backs_off_and_an_answer_forgets_the_failures(schedule: ReadSchedule) -> None:
    delays_s = []
    now_s = 100.0
    for _ in range(8):
        assert schedule.begin(now_s)
        schedule.failed(now_s)
        delays_s.append(schedule.next_s(now_s) - now_s)
        now_s = schedule.next_s(now_s)
    assert delays_s[0] <= 0.05
    assert max(delays_s) <= 1.0
    assert delays_s[-1] >= 0.5
    assert schedule.begin(now_s)
    schedule.answered(now_s, interval_s=10.0)
    assert schedule.begin(now_s + 12.5)
    schedule.failed(now_s + 12.5)
    assert schedule.next_s(now_s + 12.5) - (now_s + 12.5) <= 0.05


def test_messages_are_kept_for_a_moment_and_judged_again(schedule: ReadSchedule) -> None:
    schedule.wait_a_moment("ai", 1.0, MESSAGE)
    schedule.wait_a_moment("ai", 1.001, MESSAGE)
    assert schedule.impatient(1.0) == []
    assert schedule.impatient(1.0 + PATIENCE_S) == ["ai"]
    assert schedule.patience["ai"].messages == [MESSAGE, MESSAGE]


def test_more_messages_than_can_be_kept_ask_for_a_read(schedule: ReadSchedule) -> None:
    for _ in range(MAX_PATIENT + 1):
        schedule.wait_a_moment("ai", 1.0, MESSAGE)
    assert len(schedule.patience["ai"].messages) == MAX_PATIENT
    assert schedule.begin(1.0)


def test_a_first_load_does_not_wait_for_ever_for_a_confirmation(schedule: ReadSchedule) -> None:
    schedule.await_confirmation("ai", 1.0)
    assert schedule.impatient(1.0 + SUBSCRIBE_PATIENCE_S) == ["ai"]


def test_losing_redis_brings_the_next_read_forward_and_never_back(schedule: ReadSchedule) -> None:
    schedule.sooner(1.0, interval_s=1.0)
    assert schedule.next_s(1.0) <= 2.25
    schedule.sooner(1.0, interval_s=1000.0)
    assert schedule.next_s(1.0) <= 2.25


@pytest.mark.parametrize("ask", [ReadSchedule.hint, ReadSchedule.want])
def test_a_standby_is_asked_again_for_what_it_was_asked_for(
    schedule: ReadSchedule, ask: Callable[[ReadSchedule], None]
) -> None:
    ask(schedule)
    now_s, reads = 1.0, 0
    while schedule.begin(now_s):
        reads += 1
        schedule.answered(now_s, interval_s=10.0, in_recovery=True, moved=False)
        now_s = min(schedule.next_s(now_s), now_s + 2.0)
    assert reads == MAX_MISSES + 1
    assert 1.0 < now_s - 2.0 - 1.0 < 6.0  # and then with the next comparison
    assert schedule.next_s(now_s) > now_s


def test_a_standby_that_moved_may_have_more_to_come(schedule: ReadSchedule) -> None:
    schedule.hint()
    assert schedule.begin(1.0)
    schedule.answered(1.0, interval_s=10.0, in_recovery=True, moved=True)
    assert schedule.next_s(1.0) < 1.1


def test_the_primary_is_not_asked_again_for_a_hint(schedule: ReadSchedule) -> None:
    schedule.hint()
    assert schedule.begin(1.0)
    schedule.answered(1.0, interval_s=10.0, moved=False)
    assert schedule.next_s(1.0) > 8.0


def test_a_standby_is_not_asked_again_for_a_comparison(schedule: ReadSchedule) -> None:
    assert schedule.begin(15.0)
    schedule.answered(15.0, interval_s=10.0, in_recovery=True, moved=False)
    assert schedule.next_s(15.0) > 22.0
