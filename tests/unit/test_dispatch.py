"""What listeners are told, and forked children among them."""

from __future__ import annotations

from pydantic import BaseModel

from hotconfig.core.listeners import Changed
from hotconfig.runtime.dispatch import Dispatcher
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
