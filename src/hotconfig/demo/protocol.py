"""What the demo and its subscriber processes say to each other: lines of JSON over pipes.

Owns the messages and their encoding. Must not know processes, or what the messages bring about.

Moments are ``time.monotonic_ns()``. On Linux it reads ``CLOCK_MONOTONIC`` and on macOS ``mach_absolute_time``, which
count from the same origin in every process of a machine: the moments of two processes may be subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter


@dataclass(frozen=True, slots=True)
class Show:
    """Order: report :class:`Shown` as soon as every service shows its revision, or a newer one."""

    number: int
    revisions: dict[str, int]
    kind: Literal["show"] = "show"


@dataclass(frozen=True, slots=True)
class Watch:
    """Order: report :class:`Watching` now and :class:`Seen` when the attribute has the value of ``text``."""

    number: int
    service: str
    key: str
    text: str | None
    kind: Literal["watch"] = "watch"


@dataclass(frozen=True, slots=True)
class Follow:
    """Order: from now on report every change as :class:`Arrived`, whoever made it."""

    kind: Literal["follow"] = "follow"


@dataclass(frozen=True, slots=True)
class Ready:
    """Report: all classes are bound."""

    number: int = 0
    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Shown:
    """Report: what :class:`Show` asked for came true; ``ok`` is false if it did not in time."""

    number: int
    ok: bool
    kind: Literal["shown"] = "shown"


@dataclass(frozen=True, slots=True)
class Watching:
    """Report: the attribute is being looked at."""

    number: int
    kind: Literal["watching"] = "watching"


@dataclass(frozen=True, slots=True)
class Seen:
    """Report: the moment at which the attribute was found changed; None: it was not, in time."""

    number: int
    at_ns: int | None
    kind: Literal["seen"] = "seen"


@dataclass(frozen=True, slots=True)
class Level:
    """Report: a listener has set the running logger to this level."""

    name: str
    kind: Literal["level"] = "level"


@dataclass(frozen=True, slots=True)
class Arrived:
    """Report: one key changed, from the text ``old`` to ``new``; None is SQL NULL.

    ``after_ms`` counts from the moment at which PostgreSQL moved the head, by its clock and this machine's; None where
    that moment is not known. It is only as good as the two clocks agree.
    """

    service: str
    key: str
    old: str | None
    new: str | None
    revision: int
    by: str | None
    after_ms: float | None
    kind: Literal["arrived"] = "arrived"


Order = Show | Watch | Follow
Answer = Ready | Shown | Watching | Seen
Report = Answer | Level | Arrived

ORDERS: Final[TypeAdapter[Order]] = TypeAdapter(Annotated[Order, Field(discriminator="kind")])
REPORTS: Final[TypeAdapter[Report]] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])

SEEN_WITHIN_S: Final = 2.0
"""How long a process looks for a change before it says that it saw none."""

SHOWN_WITHIN_S: Final = 15.0
"""The same for the values that a round begins with: longer than the comparison with PostgreSQL every 10 s."""
