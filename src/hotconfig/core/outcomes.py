"""What can become of one input of the line. Every input ends in exactly one of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Stage(Enum):
    """Where on the line an input was turned away."""

    DECODE = "decode"
    JUDGE = "judge"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class Applied:
    """The head moved and the live object shows it.

    ``keys`` are those whose value really differs; at the ``first`` load all. ``by`` made what is shown, where that was
    one person; ``several``: it was not. ``rewound``: PostgreSQL went back. ``trace``: of the commit, if its writer was
    traced.
    """

    service: str
    revision: int
    keys: frozenset[str]
    by: str | None = field(default=None, compare=False)
    several: bool = field(default=False, compare=False)
    first: bool = field(default=False, compare=False)
    rewound: bool = field(default=False, compare=False)
    trace: Mapping[str, str] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Known already: the reader stands there, or a plain message repeats the current text."""

    service: str


@dataclass(frozen=True, slots=True)
class Stale:
    """Older than what the reader has."""

    service: str


@dataclass(frozen=True, slots=True)
class NeedsRead:
    """Only PostgreSQL can tell. ``patient``: the missing parent may still arrive within a moment."""

    service: str
    reason: str
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Turned away. At ``VALIDATE`` the head moved, but the live object keeps its last good values.

    ``problems`` maps keys to reasons, without values; ``why`` is a sentence on where they came from and how to mend
    them. ``shown`` is the revision that stays, if there is one. ``rewound``: PostgreSQL went back.
    """

    service: str | None
    revision: int | None
    stage: Stage
    problems: Mapping[str, str]
    why: str = field(default="", compare=False)
    shown: int | None = field(default=None, compare=False)
    rewound: bool = field(default=False, compare=False)


Outcome = Applied | Duplicate | Stale | NeedsRead | Rejected
