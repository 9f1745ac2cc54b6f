"""What listeners are told, and to whom an event goes. Threads that call listeners live in the runtime."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from hotconfig.core.text.same import same_value

M = TypeVar("M", bound=BaseModel)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Changed(Generic[M]):
    """One real change of one service's settings, as listeners see it.

    Attributes:
        service: The service.
        old: A snapshot from before.
        new: A snapshot from after. Both are immutable and share nothing that a later change touches.
        keys: The keys whose values differ between the two; never empty.
        revision: The revision that ``new`` shows.
        by: Who made the commit; None where commits by several people were taken together, or it is not known.
        reason: Why, if they said so; None where commits with several reasons were taken together.
        at: PostgreSQL's clock when the head moved, ISO 8601 in UTC.
        rewound: PostgreSQL went back (a restore, or a failover that lost commits), and so did the settings.
    """

    service: str
    old: M = field(repr=False)
    new: M = field(repr=False)
    keys: frozenset[str]
    revision: int
    by: str | None = None
    reason: str | None = None
    at: str | None = None
    rewound: bool = False


def following_on(last: BaseModel | None, event: Changed[Any]) -> Changed[Any] | None:
    """The event as it must be told to one who knows ``last``; None: nothing is new to him.

    Whoever takes up an interrupted line, such as a forked child, may tell once more what was queued already.
    """
    if last is None or event.old is last:
        return event
    keys = differing(last, event.new)
    return replace(event, old=last, keys=keys) if keys else None


def differing(old: BaseModel, new: BaseModel) -> frozenset[str]:
    """The fields in which two instances of one class differ, by value and type, all the way down: True is not 1."""
    before, after = old.__dict__, new.__dict__
    return frozenset(
        name for name in type(new).model_fields if not _same(before.get(name, _ABSENT), after.get(name, _ABSENT))
    )


def _same(one: object, other: object) -> bool:
    try:
        return same_value(one, other)
    except Exception:  # noqa: BLE001 - a user's own type may raise anything; what cannot be compared counts as changed
        return False
