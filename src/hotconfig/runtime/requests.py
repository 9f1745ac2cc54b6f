"""What other threads ask of the line's thread, through its inbox."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hotconfig.core.followed import Followed, StandIn
from hotconfig.core.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Follow:
    """Follow one more service. ``live`` gives the live object, or says why there is none."""

    followed: Followed[Any]
    live: Future[Any] = field(default_factory=Future[Any])


@dataclass(frozen=True, slots=True)
class Forget:
    """Give up a service that could not be loaded; not another attempt at it."""

    followed: Followed[Any]


@dataclass(frozen=True, slots=True)
class StandingIn:
    """Somebody waits for a service to be shown without PostgreSQL. ``shown``: what ``Line.stand_in`` said."""

    followed: Followed[Any]
    given: StandIn
    shown: Future[Outcome | None] = field(default_factory=Future["Outcome | None"])


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody waits for PostgreSQL to answer at all."""

    made: Future[None] = field(default_factory=Future[None])


class Command(Enum):
    """What needs no answer."""

    READ = "read"
    """Read PostgreSQL now."""
    SHOW = "show"
    """Show what was accepted, and what overrides, if somebody was interrupted in between."""


Request = Follow | Forget | StandingIn | Contact | Command
