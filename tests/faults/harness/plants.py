"""Planted bugs: three ways to break a reader that the oracle has to notice. Applied in its process, at the start.

Each is a mistake that real libraries of this kind make.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from hotconfig.core import line, live
from hotconfig.core.chain import ChangeSet
from hotconfig.core.followed import Followed
from hotconfig.core.judge import Verdict, judge
from hotconfig.core.outcomes import NeedsRead, Outcome


def no_gate() -> None:
    """Any signed change set is applied, whatever its parent is."""

    def judge_nothing(self: line.Line, followed: Followed[Any], change_set: ChangeSet) -> Outcome | None:
        if followed.head is None:
            return NeedsRead(followed.service, "nothing loaded yet")
        self._accept(followed, change_set)
        return None

    line.Line._judge = judge_nothing  # type: ignore[method-assign]


def cursor_first() -> None:
    """A change set that cannot be applied yet advances the head all the same."""
    honest = line.Line._judge

    def advance_first(self: line.Line, followed: Followed[Any], change_set: ChangeSet) -> Outcome | None:
        if followed.head is not None and judge(change_set, followed.head) is Verdict.AHEAD:
            followed.head = change_set.head
            return NeedsRead(followed.service, "parent missing")
        return honest(self, followed, change_set)

    line.Line._judge = advance_first  # type: ignore[method-assign]


def attribute_by_attribute() -> None:
    """The live object's attributes are assigned one after the other, in place of the swap."""

    def assign(shown: BaseModel, candidate: BaseModel) -> None:
        if live._shown.pop(id(shown), None) is not None:
            object.__setattr__(shown, "__dict__", dict(shown.__dict__))  # the first candidate's, until now
        for name, value in candidate.__dict__.items():
            shown.__dict__[name] = value

    setattr(line, "swap", assign)  # noqa: B010 - it is imported there


PLANTS: Final = {
    "no-gate": no_gate,
    "cursor-first": cursor_first,
    "attribute-by-attribute": attribute_by_attribute,
}
