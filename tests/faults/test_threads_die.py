"""A thread that dies is started again, is counted, and the values converge. On ports in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import hotconfig
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change
from hotconfig.core.errors import NotStartedError, RetryableError
from hotconfig.core.followed import Followed
from hotconfig.core.status import State
from hotconfig.runtime.dispatch import Dispatcher
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.requests import Command
from hotconfig.runtime.timing import Timing
from hotconfig.runtime.worker import Worker
from tests.support.fakes import MemoryRedis, MemoryTruth
from tests.support.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

TIMING = Timing(reconcile_s=1000.0, poll_s=0.05, stale_after_s=1000.0)
DEADLINE_S = 30.0


@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = 0.75


class World:
    """A follower with a listener on a truth and a Redis in memory."""

    def __init__(self) -> None:
        self.truth = MemoryTruth()
        self.redis = MemoryRedis()
        self.told: list[float] = []
        self.dispatcher = Dispatcher()
        self.dispatcher.add("ai", lambda change: self.told.append(change.new.threshold), None)
        self.followed = Followed(Blueprint(AI))
        self.follower = Follower(self.truth, self.redis.open, None, self.dispatcher.tell, TIMING)
        self.follower.look_after(self.dispatcher.mend)

    def start(self) -> AI:
        self.follower.start()
        self.follower.first_contact(DEADLINE_S)
        live: AI = self.follower.follow(self.followed).result(DEADLINE_S)
        eventually(lambda: self.follower.connected, DEADLINE_S)
        return live

    @property
    def counters(self) -> Any:
        return self.follower.ledger.counters

    def change(self, threshold: float) -> None:
        """Commit, and announce where Redis is connected."""
        self.redis.current.announce(self.truth.commit("ai", Change("threshold", str(threshold))))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.follower.stop(DEADLINE_S)
    for listener in made.dispatcher.close():
        listener.join(DEADLINE_S)


def once(error: type[BaseException], then: Callable[..., Any]) -> Callable[..., Any]:
    """Raises at the first call, and is ``then`` ever after. GeneratorExit is what nothing in a thread catches."""
    left = [error]

    def call(*arguments: Any) -> Any:
        if left:
            raise left.pop()
        return then(*arguments)

    return call


def test_the_line_that_dies_is_started_again_and_catches_up(world: World) -> None:
    live = world.start()
    world.follower._turn = once(GeneratorExit, world.follower._turn)  # type: ignore[method-assign]
    world.follower._inbox.wake()
    world.truth.commit("ai", Change("threshold", "0.9"))  # told by nobody, found because the line asks anew
    eventually(lambda: live.threshold == 0.9, DEADLINE_S)
    assert world.counters.restarts == 1
    assert world.follower.alive
    eventually(lambda: world.follower.connected, DEADLINE_S)
    world.change(0.5)
    eventually(lambda: world.told == [0.9, 0.5], DEADLINE_S)


def test_the_thread_that_reads_is_started_again_and_the_read_it_lost_is_repeated(world: World) -> None:
    live = world.start()
    reading = world.follower._reading
    reading._carry_out = once(GeneratorExit, reading._carry_out)  # type: ignore[method-assign]
    world.truth.commit("ai", Change("threshold", "0.9"))
    world.follower.catch_up(world.followed, 1, DEADLINE_S)
    eventually(lambda: live.threshold == 0.9, DEADLINE_S)
    assert world.counters.restarts == 1
    assert world.follower.alive
    assert "hotconfig-reading" in (world.follower.ledger.last_error or "")


def test_while_a_thread_is_dead_the_follower_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live = world.start()
    assert world.follower.alive
    monkeypatch.setattr(Worker, "mend", lambda _: False)
    for thread, method in ((world.follower, "_turn"), (world.follower._reading, "_carry_out")):
        monkeypatch.setattr(thread, method, once(GeneratorExit, getattr(thread, method)))
    world.follower.catch_up(world.followed, 1, 0.0)
    eventually(lambda: not world.follower.alive, DEADLINE_S)
    monkeypatch.undo()
    world.truth.commit("ai", Change("threshold", "0.9"))  # told by nobody, found because the line asks anew

    def recovered() -> bool:
        world.follower.mend()  # as every call of the client does: both may be dead, and one may be dying only now
        return world.follower.alive and live.threshold == 0.9

    eventually(recovered, DEADLINE_S)


def test_who_waits_when_a_dead_line_is_stopped_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.start()
    monkeypatch.setattr(Worker, "mend", lambda _: False)
    monkeypatch.setattr(world.follower, "_turn", once(GeneratorExit, world.follower._turn))
    world.follower._inbox.wake()
    eventually(lambda: not world.follower.alive, DEADLINE_S)
    waiting = world.follower.follow(Followed(Blueprint(AI)))
    assert world.follower.stop(DEADLINE_S)
    with pytest.raises(NotStartedError):
        waiting.result(DEADLINE_S)


def test_an_answer_that_was_lost_in_a_failing_turn_is_asked_for_again(world: World) -> None:
    live = world.start()
    world.follower._answered = once(RuntimeError, world.follower._answered)  # type: ignore[method-assign]
    world.truth.commit("ai", Change("threshold", "0.9"))
    world.follower.catch_up(world.followed, 1, DEADLINE_S)
    eventually(lambda: live.threshold == 0.9, DEADLINE_S)
    assert world.counters.line_errors == 1


def test_what_arrived_behind_a_failing_item_is_not_forgotten(world: World) -> None:
    world.start()
    takes: list[Any] = []
    take = world.follower._take_item

    def stumble(item: Any) -> None:
        takes.append(item)
        if len(takes) == 1:
            world.follower._inbox._items.append(then)  # behind the one that fails, without waking anybody
            raise RuntimeError("a bug")
        take(item)

    then = Command.READ
    world.follower._take_item = stumble  # type: ignore[method-assign]
    reads = world.counters.reads
    world.follower.forget(Followed(Blueprint(AI)))
    eventually(lambda: then in takes, DEADLINE_S)
    eventually(lambda: world.counters.reads > reads, DEADLINE_S)


def test_a_line_whose_every_turn_fails_does_not_run_hot_and_recovers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = world.start()

    def fail() -> None:
        raise OSError("bad file descriptor")

    with monkeypatch.context() as broken:
        broken.setattr(world.follower, "_turn", fail)
        world.follower._inbox.wake()
        begun_s = time.monotonic()
        eventually(lambda: world.counters.line_errors >= 6, DEADLINE_S)
        assert time.monotonic() - begun_s > 0.3, "the pauses grow"
    world.truth.commit("ai", Change("threshold", "0.9"))
    eventually(lambda: live.threshold == 0.9, DEADLINE_S)


def test_a_thread_that_is_just_being_started_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    mended: list[bool] = []
    start = threading.Thread.start

    def start_slowly(thread: threading.Thread) -> None:
        mended.append(worker.mend())  # as another thread would that looks at this very moment
        start(thread)
        mended.append(worker.mend())

    worker = Worker(lambda: runs.append(1), "hotconfig-line")
    monkeypatch.setattr(threading.Thread, "start", start_slowly)
    worker.start()
    assert worker.join(DEADLINE_S)
    assert (mended, runs) == ([False, False], [1])


def no_thread(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the system has no thread of this name to give."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_without_a_thread_to_connect_with_it_backs_off_polls_and_recovers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = world.start()
    with monkeypatch.context() as exhausted:
        no_thread("hotconfig-connect", exhausted)
        world.redis.current.close()
        eventually(lambda: world.follower.ledger.state is State.DEGRADED, DEADLINE_S)
        eventually(lambda: "hotconfig-connect" in (world.follower.ledger.last_error or ""), DEADLINE_S)
        world.truth.commit("ai", Change("threshold", "0.9"))
        eventually(lambda: live.threshold == 0.9, DEADLINE_S)
    eventually(lambda: world.follower.ledger.state is State.READY, DEADLINE_S)


def test_an_event_waits_for_the_thread_that_tells_it(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.start()
    with monkeypatch.context() as exhausted:
        no_thread("hotconfig-listener", exhausted)
        world.change(0.9)
        eventually(lambda: world.dispatcher.counts()[0], DEADLINE_S)
        assert "a listener has to wait" in caplog.text
    eventually(lambda: world.told == [0.9], DEADLINE_S)


def test_a_listeners_thread_that_died_is_started_again(world: World) -> None:
    world.start()
    listener = world.dispatcher._listeners["ai"][0]
    listener._callback = once(GeneratorExit, listener._callback)
    world.change(0.9)
    eventually(lambda: listener._worker.started and not listener._worker.alive, DEADLINE_S)
    world.change(0.8)
    eventually(lambda: world.told == [0.8], DEADLINE_S)


def test_a_start_without_a_thread_is_refused_typed_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hotconfig-line", "hotconfig-reading"):
        client = hotconfig.HotConfig("postgresql://nobody@127.0.0.1:1/nothing")
        with monkeypatch.context() as exhausted:
            no_thread(name, exhausted)
            with pytest.raises(RetryableError, match=f"{name}.*raise the limit"):
                client.start()
        with pytest.raises(hotconfig.DatabaseUnavailableError):
            client.start(timeout=0.1)
        client.close()
