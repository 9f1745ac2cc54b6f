"""The follower on ports in memory: what it does when, and that nothing but its own stop ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

import hotconfig
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change
from hotconfig.core.errors import (
    DatabaseUnavailableError,
    InvalidStateError,
    NotStartedError,
    SchemaMissingError,
)
from hotconfig.core.followed import Followed, StandIn
from hotconfig.core.listeners import Changed
from hotconfig.core.status import State
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.timing import Timing
from tests.support.fakes import MemoryRedis, MemoryTruth
from tests.support.waiting import eventually

TIMING = Timing(reconcile_s=1000.0, poll_s=0.05, stale_after_s=1000.0)


@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str = "gpt-4"


class World:
    def __init__(self, timing: Timing = TIMING) -> None:
        self.truth = MemoryTruth()
        self.redis = MemoryRedis()
        self.told: list[Changed[Any]] = []
        self.followed = Followed(Blueprint(AI))
        self.follower = Follower(self.truth, self.redis.open, None, self.told.append, timing)

    def start(self) -> AI:
        self.follower.start()
        self.follower.first_contact(5)
        live: AI = self.follower.follow(self.followed).result(5)
        return live


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.follower.stop(5)


def test_it_reads_only_after_the_subscription_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotconfig.core.schedule.SUBSCRIBE_PATIENCE_S", 600.0)
    world = World(Timing(reconcile_s=1000.0, poll_s=1000.0, stale_after_s=1000.0))
    world.redis.confirming = False
    world.follower.start()
    world.follower.first_contact(5)
    reads = len(world.truth.asked)
    loading = world.follower.follow(world.followed)
    eventually(lambda: world.redis.opened)
    assert len(world.truth.asked) == reads
    assert not loading.done()
    world.redis.current.confirming = True
    world.redis.current.follow(["ai"])
    assert loading.result(5).threshold == 0.75
    assert len(world.truth.asked) == reads + 1
    assert world.follower.stop(5)


def test_a_signed_change_set_needs_no_read(world: World) -> None:
    live = world.start()
    reads = len(world.truth.asked)
    world.redis.current.announce(world.truth.commit("ai", Change("threshold", "0.9")))
    assert world.follower.wait_for(world.followed, 1, 5)
    assert live.threshold == 0.9
    assert len(world.truth.asked) == reads
    assert [event.keys for event in world.told] == [frozenset({"threshold"})]


def test_a_lost_message_is_repaired_by_the_next(world: World) -> None:
    live = world.start()
    world.truth.commit("ai", Change("threshold", "0.8"))
    world.redis.current.announce(world.truth.commit("ai", Change("model", "gpt-4o")))
    assert world.follower.wait_for(world.followed, 2, 5)
    assert (live.threshold, live.model) == (0.8, "gpt-4o")


def test_two_messages_out_of_order_need_no_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotconfig.core.schedule.PATIENCE_S", 60.0)
    world.start()
    first = world.truth.commit("ai", Change("threshold", "0.8"))
    second = world.truth.commit("ai", Change("threshold", "0.9"))
    reads = len(world.truth.asked)
    world.redis.current.announce(second)
    world.redis.current.announce(first)
    assert world.follower.wait_for(world.followed, 2, 5)
    eventually(lambda: world.follower.ledger.counters.messages == 4)
    assert len(world.truth.asked) == reads


def test_a_reconnection_asks_postgresql_what_was_missed(world: World) -> None:
    live = world.start()
    world.redis.up = False
    world.redis.current.close()
    eventually(lambda: world.follower.ledger.state is State.DEGRADED)
    world.truth.commit("ai", Change("threshold", "0.9"))
    assert world.follower.wait_for(world.followed, 1, 5), "polling finds it while Redis is away"
    world.redis.up = True
    eventually(lambda: world.follower.ledger.state is State.READY)
    world.redis.current.announce(world.truth.commit("ai", Change("threshold", "0.5")))
    assert world.follower.wait_for(world.followed, 2, 5)
    assert live.threshold == 0.5


def test_a_redis_that_answers_is_kept_and_never_doubted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotconfig.runtime.link.PING_INTERVAL_S", 0.01)
    monkeypatch.setattr("hotconfig.runtime.link.PONG_DEADLINE_S", 0.3)
    world.start()
    kept, reads = world.redis.current, len(world.truth.asked)
    eventually(lambda: kept.pings >= 60)  # twice as long as an answer may take
    assert world.redis.current is kept
    assert len(world.truth.asked) == reads


def test_a_silent_redis_is_given_up_after_the_pong_deadline(world: World) -> None:
    world.start()
    silent = world.redis.current
    silent.ponging = False
    eventually(lambda: silent.closed, timeout_s=5)
    eventually(lambda: world.redis.current is not silent and world.follower.connected)


def test_while_a_pong_is_late_postgresql_is_asked_before_redis_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotconfig.runtime.link.PONG_DEADLINE_S", 600.0)  # never given up here
    live = world.start()
    silent = world.redis.current
    silent.ponging = False
    world.truth.commit("ai", Change("threshold", "0.9"))  # nobody announces it
    assert world.follower.wait_for(world.followed, 1, 5)
    assert live.threshold == 0.9
    assert not silent.closed
    world.truth.commit("ai", Change("threshold", "0.8"))  # and asked again while the doubt lasts
    assert world.follower.wait_for(world.followed, 2, 5)


def test_a_rejected_commit_is_told_to_who_waits_for_it_and_the_last_good_stays(world: World) -> None:
    live = world.start()
    world.redis.current.announce(world.truth.commit("ai", Change("threshold", "7")))
    with pytest.raises(InvalidStateError, match="threshold"):
        world.follower.wait_for(world.followed, 1, 5)
    assert live.threshold == 0.75
    world.redis.current.announce(world.truth.commit("ai", Change("threshold", "0.7")))
    assert world.follower.wait_for(world.followed, 2, 5)
    assert live.threshold == 0.7


def test_no_database_is_said_in_time_and_with_the_reason(world: World) -> None:
    world.truth.error = DatabaseUnavailableError("nobody at db:5432")
    world.follower.start()
    with pytest.raises(DatabaseUnavailableError, match=r"within 0\.3 s; last error: nobody at db:5432"):
        world.follower.first_contact(0.2999957)


def test_missing_tables_are_said_at_once(world: World) -> None:
    world.truth.error = SchemaMissingError("run `hotconfig migrate`")
    world.follower.start()
    with pytest.raises(SchemaMissingError, match="hotconfig migrate"):
        world.follower.first_contact(60)


def test_a_database_that_comes_back_is_read_again(world: World) -> None:
    live = world.start()
    world.truth.error = DatabaseUnavailableError("away")
    world.truth.commit("ai", Change("threshold", "0.9"))
    world.redis.current.put(_hint())
    eventually(lambda: world.follower.ledger.counters.read_failures)
    assert live.threshold == 0.75
    world.truth.error = None
    assert world.follower.wait_for(world.followed, 1, 5)


def test_a_frozen_database_does_not_hold_up_messages(world: World) -> None:
    live = world.start()
    world.truth.answering.clear()
    world.redis.current.put(_hint())
    eventually(lambda: len(world.truth.asked) >= 3)
    world.redis.current.announce(world.truth.commit("ai", Change("threshold", "0.9")))
    assert world.follower.wait_for(world.followed, 1, 5)
    assert live.threshold == 0.9
    world.truth.answering.set()


def test_a_tell_that_raises_does_not_end_the_line() -> None:
    world = World()
    world.follower.line._tell = _raise
    live = world.start()
    world.redis.current.announce(world.truth.commit("ai", Change("threshold", "0.9")))
    eventually(lambda: world.follower.ledger.counters.line_errors)
    eventually(lambda: len(world.redis.opened) > 1 and world.follower.connected)
    assert live.threshold == 0.9
    assert world.follower.stop(5)


def test_stopping_tells_those_who_wait(world: World) -> None:
    world.redis.confirming = False
    world.follower.start()
    world.follower.first_contact(5)
    world.truth.answering.clear()
    loading = world.follower.follow(world.followed)
    eventually(lambda: world.redis.opened)
    world.truth.answering.set()
    world.follower.stop(5)
    with pytest.raises(NotStartedError):
        loading.result(5)


def test_without_redis_postgresql_is_polled() -> None:
    world = World()
    assert world.follower.stop(5)
    world.follower = Follower(world.truth, None, None, world.told.append, TIMING)
    live = world.start()
    world.truth.commit("ai", Change("threshold", "0.9"))
    assert world.follower.wait_for(world.followed, 1, 5)
    assert live.threshold == 0.9
    assert world.follower.connected is None
    assert world.follower.stop(5)


def _hint() -> Any:
    from hotconfig.core.ports import Message

    return Message(b"config:ai:threshold", b"0.9")


def _raise(event: object) -> None:
    raise RuntimeError("a bug")


def test_an_own_commit_is_shown_by_the_writing_thread_where_the_line_is_free(world: World) -> None:
    live = world.start()
    for number in range(1, 21):
        commit = world.truth.commit("ai", Change("threshold", f"0.{number:02}"))
        # The line's thread may be in the middle of a turn: then it takes the commit itself, a moment later.
        world.follower.deliver(commit, announced=False)
        assert world.follower.wait_for(world.followed, number, 5)
        assert live.threshold == number / 100
    assert [event.revision for event in world.told] == list(range(1, 21))


def test_an_own_commit_that_is_not_the_next_one_waits_for_its_turn(world: World) -> None:
    live = world.start()
    world.truth.commit("ai", Change("model", "gpt-4o"))
    world.follower.deliver(world.truth.commit("ai", Change("threshold", "0.9")), announced=False)
    assert world.follower.wait_for(world.followed, 2, 5)
    assert (live.model, live.threshold) == ("gpt-4o", 0.9)


def test_ctrl_c_while_an_own_commit_is_shown_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live = world.start()
    build, interrupted = world.followed.blueprint.build, threading.Event()

    def interrupt_once(texts: Any) -> Any:
        if threading.current_thread() is threading.main_thread() and not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return build(texts)

    monkeypatch.setattr(world.followed.blueprint, "build", interrupt_once)

    def deliver_until_interrupted() -> None:
        for number in range(1, 100):  # not at once, where the line's thread is in the middle of a turn
            world.follower.deliver(world.truth.commit("ai", Change("threshold", f"0.{number:02}")), announced=False)

    with pytest.raises(KeyboardInterrupt):
        deliver_until_interrupted()
    revision = len(world.truth.commits["ai"])
    assert world.follower.wait_for(world.followed, revision, 5)
    assert live.threshold == revision / 100


def test_what_is_asked_of_a_line_that_has_ended_is_refused_at_once(world: World) -> None:
    world.start()
    assert world.follower.stop(30)
    with pytest.raises(NotStartedError):
        world.follower.follow(world.followed).result(0)
    with pytest.raises(NotStartedError):
        world.follower.first_contact(0)
    assert world.follower.stand_in(world.followed, StandIn()).result(0) is None
