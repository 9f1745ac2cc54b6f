"""What counts as drift: a routine read found what no message had told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hotconfig.core.chain import Change
from hotconfig.core.drift import GRACE_S, DriftWatch
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.timing import Timing
from tests.support.fakes import MemoryRedis
from tests.support.waiting import eventually
from tests.unit.test_follower import World

OFTEN = Timing(reconcile_s=0.05, poll_s=0.05, stale_after_s=1000.0)
LATER = Change("threshold", "0.9")


def test_a_suspicion_comes_true_once_when_no_message_came_in_time() -> None:
    watch = DriftWatch()
    watch.suspect("ai", 10.0)
    watch.suspect("ai", 11.0)
    assert watch.confirmed(10.0 + GRACE_S - 0.01) == 0
    assert watch.confirmed(10.0 + GRACE_S) == 1
    assert watch.confirmed(100.0) == 0


def test_a_message_of_the_service_clears_it_and_of_another_does_not() -> None:
    watch = DriftWatch()
    watch.suspect("ai", 10.0)
    watch.suspect("email", 10.0)
    watch.heard("ai")
    watch.heard("web")
    assert watch.confirmed(100.0) == 1


def test_an_outage_clears_all() -> None:
    watch = DriftWatch()
    watch.suspect("ai", 10.0)
    watch.interrupted()
    assert watch.confirmed(100.0) == 0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("hotconfig.core.drift.GRACE_S", 0.2)
    made = World()
    made.follower.stop(5)
    made.follower = Follower(made.truth, made.redis.open, None, made.told.append, OFTEN)
    yield made
    assert made.follower.stop(5)


def counted(world: World) -> int:
    return world.follower.ledger.counters.drift


def reads_on(world: World, count: int = 10) -> None:
    """Wait for some routine reads more, longer than a suspicion lasts."""
    target = len(world.truth.asked) + count
    eventually(lambda: len(world.truth.asked) >= target, 20)


def test_a_commit_that_nobody_announced_is_drift(world: World) -> None:
    world.start()
    world.truth.commit("ai", LATER)
    eventually(lambda: counted(world) == 1, 20)
    reads_on(world)
    assert counted(world) == 1


def test_a_message_that_comes_after_the_read_makes_it_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotconfig.core.drift.GRACE_S", 3.0)
    world.start()
    change_set = world.truth.commit("ai", LATER)
    assert world.follower.wait_for(world.followed, 1, 20)
    world.redis.current.announce(change_set)
    eventually(lambda: world.follower.ledger.counters.duplicates and not world.follower._reconciler.drift.suspects, 20)
    assert counted(world) == 0


def test_what_a_message_had_hinted_at_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotconfig.core.drift.GRACE_S", 10.0)
    world.start()
    for value in ("0.1", "0.2", "0.3"):
        world.truth.commit("ai", Change("threshold", "0.9"))
        world.redis.current.announce(world.truth.commit("ai", Change("threshold", value)))
        assert world.follower.wait_for(world.followed, len(world.truth.commits["ai"]), 20)
    # The lost ones before each were either explained by the hint, or found by a routine read that the plain form of
    # the announced one, a duplicate by then, cleared.
    eventually(lambda: not world.follower._reconciler.drift.suspects, 20)
    assert counted(world) == 0


def test_polling_without_any_news_finds_everything_and_none_of_it_is_drift(world: World) -> None:
    world.start()
    world.redis.up = False
    world.redis.current.close()
    eventually(lambda: world.follower.ledger.counters.connection_failures)
    world.truth.commit("ai", LATER)
    assert world.follower.wait_for(world.followed, 1, 20)
    reads_on(world)
    assert counted(world) == 0


def test_what_an_outage_hid_is_none() -> None:
    world = World()
    world.redis = MemoryRedis()
    world.follower.stop(5)
    world.follower = Follower(
        world.truth, world.redis.open, None, world.told.append, Timing(reconcile_s=1000, poll_s=1000)
    )
    try:
        world.start()
        world.truth.commit("ai", LATER)
        world.redis.current.close()  # the line connects anew, and the confirmation asks for a read
        assert world.follower.wait_for(world.followed, 1, 20)
        assert not world.follower._reconciler.drift.suspects
    finally:
        world.follower.stop(5)
