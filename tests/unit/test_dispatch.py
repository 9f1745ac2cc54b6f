"""What listeners are told, and forked children among them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

import hotconfig
from hotconfig.core.listeners import Changed
from hotconfig.core.status import State, StateChanged
from hotconfig.runtime.dispatch import STATES, Dispatcher
from tests.support.waiting import eventually


class AI(BaseModel):
    threshold: float = 0.0
    model: str = "a"


def changed(old: AI, new: AI, revision: int, *keys: str) -> Changed[AI]:
    return Changed("ai", old, new, frozenset(keys), revision)


def test_a_forked_child_is_not_told_again_what_was_queued_when_its_parent_was_stopped() -> None:
    first, second, third = AI(), AI(threshold=0.5), AI(threshold=0.5, model="b")
    told: list[Changed[AI]] = []
    parent = Dispatcher()
    listener = parent.add("ai", told.append, None)
    listener._queue.append(changed(first, second, 1, "threshold"))  # and then it was forked
    child = parent.reborn()
    child.tell(changed(first, third, 2, "threshold", "model"))  # what its line knows no better
    eventually(lambda: len(told) == 2)
    assert [(each.old, each.new, set(each.keys)) for each in told] == [
        (first, second, {"threshold"}),
        (second, third, {"model"}),
    ]
    for each in child.close():
        each.join(5)


def test_a_change_that_was_told_already_is_not_told() -> None:
    first, second, third = AI(), AI(threshold=0.5), AI(threshold=0.7)
    told: list[Changed[AI]] = []
    dispatcher = Dispatcher()
    dispatcher.add("ai", told.append, None)
    dispatcher.tell(changed(first, second, 1, "threshold"))
    dispatcher.tell(changed(first, AI(threshold=0.5), 1, "threshold"))
    dispatcher.tell(changed(second, third, 2, "threshold"))
    eventually(lambda: len(told) == 2)
    assert [each.revision for each in told] == [1, 2]
    for each in dispatcher.close():
        each.join(5)


class ClosedBetween(deque[Any]):
    """The queue of a listener whose stream is dropped just after the thread has looked for events, before it waits.

    A finalizer runs wherever the garbage collector does, and that may be in this very thread.
    """

    close: Callable[[], None] = staticmethod(lambda: None)

    def __bool__(self) -> bool:
        found = len(self) > 0
        if not found and threading.current_thread().name == "hotconfig-listener":
            self.close()
        return found


def test_a_listener_ends_though_it_is_closed_just_before_it_waits() -> None:
    told: list[Changed[AI]] = []
    dispatcher = Dispatcher()
    listener = dispatcher.add("ai", told.append, None)
    queue = ClosedBetween()
    queue.close = listener.close
    listener._queue = queue
    dispatcher.tell(changed(AI(), AI(threshold=0.5), 1, "threshold"))
    assert listener.join(30)
    assert len(told) == 1


def test_who_registers_while_the_client_closes_starts_no_thread_that_nobody_ends() -> None:
    told: list[object] = []
    dispatcher = Dispatcher()
    assert dispatcher.close() == ()
    late, states = dispatcher.add("ai", told.append, None), dispatcher.add(STATES, told.append, None)
    dispatcher.tell(changed(AI(), AI(threshold=0.5), 1, "threshold"))
    closed = StateChanged(State.READY, State.CLOSED, datetime.now(UTC), None)
    dispatcher.tell_state(closed)  # this they may still hear of
    dispatcher.end_states()
    after = dispatcher.add(STATES, told.append, None)
    dispatcher.tell_state(closed)
    for each in (late, states, after):
        assert each.join(30)
    assert told == [closed]
    assert not late._worker.started
    assert not after._worker.started


def test_a_listener_to_states_can_be_taken_back_in_a_forked_child() -> None:
    client = hotconfig.HotConfig("postgresql://nobody@127.0.0.1:1/nothing")
    parents = client._dispatcher
    stop = client.on_state(print)
    held, release = threading.Event(), threading.Event()

    def hold() -> (
        None
    ):  # as a thread that asked for the status when its process was forked: it is gone, its lock is not
        with parents._lock:
            held.set()
            release.wait(30)

    holding = threading.Thread(target=hold)
    holding.start()
    assert held.wait(30)
    client.revive([])
    stopping = threading.Thread(target=stop)
    stopping.start()
    stopping.join(10)
    hung = stopping.is_alive()
    release.set()
    for thread in (holding, stopping):
        thread.join(30)
    assert not hung
    assert client._dispatcher._listeners[STATES] == ()


def test_a_listener_that_rests_hears_everything_in_order_and_has_no_thread_meanwhile() -> None:
    events = [changed(AI(threshold=n / 10), AI(threshold=(n + 1) / 10), n, "threshold") for n in range(6)]
    told: list[Changed[AI]] = []
    proceed = threading.Event()

    def listen(event: Changed[AI]) -> None:
        proceed.wait(30)
        told.append(event)

    dispatcher = Dispatcher()
    listener = dispatcher.add("ai", listen, None)
    dispatcher.rest()  # before it was told anything
    for event in events[:3]:
        dispatcher.tell(event)
    dispatcher.rest()  # while a call is under way and others wait
    thread = listener._worker._thread
    assert thread is not None
    proceed.set()
    thread.join(30)
    assert not thread.is_alive()
    for event in events[3:]:
        dispatcher.tell(event)
    eventually(lambda: len(told) == len(events), 30)
    assert [each.revision for each in told] == list(range(6))
    for each in dispatcher.close():
        assert each.join(30)
