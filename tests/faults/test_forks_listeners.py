"""What a fork owes to listeners: events that were queued or under way are told in the child, unless one forked."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import BaseModel

from hotconfig.core.listeners import Changed
from hotconfig.runtime.dispatch import Dispatcher
from hotconfig.runtime.worker import Worker
from tests.support.waiting import eventually

DEADLINE_S = 30.0


@pytest.fixture(autouse=True)
def in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parent and child are one process here: let the parent's threads end."""
    monkeypatch.setattr(Worker, "abandon", lambda _: None)


class Numbered(BaseModel):
    number: int


def event(number: int) -> Changed[Any]:
    old, new = Numbered(number=number - 1), Numbered(number=number)
    return Changed("numbered", old, new, frozenset({"number"}), number, None, None, None)


def numbers(told: list[Changed[Any]]) -> list[int]:
    return [each.revision for each in told]


def test_what_was_under_way_and_what_was_queued_is_told_in_the_child() -> None:
    told: list[Changed[Any]] = []
    release, entered = threading.Event(), threading.Event()

    def slow(change: Changed[Any]) -> None:
        entered.set()
        if threading.current_thread() is parents:
            release.wait(DEADLINE_S)  # this thread does not exist in a child
        told.append(change)

    dispatcher = Dispatcher()
    listener = dispatcher.add("numbered", slow, None)
    parents: threading.Thread | None = None

    def first(change: Changed[Any]) -> None:
        nonlocal parents
        parents = threading.current_thread()
        slow(change)

    listener._callback = first
    dispatcher.tell(event(1))
    assert entered.wait(DEADLINE_S)
    dispatcher.tell(event(2))
    listener._callback = slow
    childs = dispatcher.reborn()  # what revive() does in a child
    assert numbers(told) == [], "nothing runs before the line does"
    childs.mend()
    eventually(lambda: numbers(told) == [1, 2], DEADLINE_S)
    childs.tell(event(3))
    eventually(lambda: numbers(told) == [1, 2, 3], DEADLINE_S)
    childs.close()
    release.set()


def test_the_event_whose_listener_forked_is_not_told_again_in_the_child() -> None:
    told: list[Changed[Any]] = []
    children: list[Dispatcher] = []

    def fork(change: Changed[Any]) -> None:
        told.append(change)
        if not children:
            children.append(dispatcher.reborn())  # as if this very call had forked

    dispatcher = Dispatcher()
    dispatcher.add("numbered", fork, None)
    dispatcher.tell(event(1))
    eventually(lambda: children, DEADLINE_S)
    children[0].mend()
    children[0].tell(event(2))
    eventually(lambda: numbers(told) == [1, 2], DEADLINE_S)
    children[0].close()
