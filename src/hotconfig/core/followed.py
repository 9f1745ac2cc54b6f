"""One service on the line, and where it stands: plain state that :mod:`hotconfig.core.line` moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import ChangeSet, Head, genesis
from hotconfig.core.status import Origin

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class StandIn:
    """What a service shows until PostgreSQL answers: the texts of a head that somebody kept, or none at all.

    ``withheld`` are keys that the kept texts lack, ``confirmed_at`` is when PostgreSQL last confirmed them.
    """

    head: Head | None = None
    texts: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False)
    withheld: frozenset[str] = frozenset()
    confirmed_at: datetime | None = None

    @property
    def origin(self) -> Origin:
        return Origin.DEFAULTS if self.head is None else Origin.LAST_KNOWN_GOOD


@dataclass(slots=True)
class Followed(Generic[M]):
    """One service on the line, and where it stands.

    ``head`` is the newest commit known here, with its ``texts``. ``shown`` is the commit that the live object shows;
    it lags behind ``head`` only while what ``head`` says does not validate (``problems`` says why). ``inherited`` is
    where the parent of a forked child stood.
    """

    blueprint: Blueprint[M]
    lenient: bool = False
    head: Head | None = None
    texts: dict[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False)
    live: M | None = None
    current: M | None = None
    shown: Head | None = None
    inherited: Head | None = None
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()
    accepted: list[ChangeSet] = field(default_factory=list[ChangeSet], repr=False)
    waiting: dict[Head, ChangeSet] = field(default_factory=dict[Head, ChangeSet], repr=False)
    base: dict[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False)
    echoes: set[str] = field(default_factory=set[str])
    stand_in: StandIn | None = None
    rewound: bool = False
    overrides: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False)
    beneath: tuple[M, Head | None] | None = None

    # lenient: at the first load, keys that do not validate fall back to defaults; ``replaced`` are those. accepted:
    # change sets that ``head`` and ``texts`` include already and the live object does not; ``base`` are the texts
    # before the first of them. waiting: change sets by the parent that is missing here. echoes: keys whose plain
    # message, still to come, will be empty and will prove nothing. stand_in: what is shown is not yet PostgreSQL's
    # word. rewound: PostgreSQL went back, and what is shown has not followed yet, because it would not validate.
    # overrides: texts that win over everything, in this process, for a while; beneath: the last good instance without
    # them, and its head, for when they end.

    @property
    def service(self) -> str:
        return self.blueprint.service

    def reborn(self) -> Followed[M]:
        """The same live object, to be loaded anew: whoever drove the line may have been stopped in the middle."""
        return Followed(
            self.blueprint,
            self.lenient,
            live=self.live,
            current=self.current,
            shown=self.shown,
            stand_in=self.stand_in,
            inherited=self.head or self.inherited,
            rewound=self.rewound,
            overrides=self.overrides,
            beneath=self.beneath,
        )


def head_of(followed: Followed[Any]) -> Head:
    """Where a read should start from: the reader's head, or the service's beginning if it lacks anything."""
    if followed.head is None or (followed.stand_in is not None and followed.stand_in.withheld):
        return genesis(followed.service)
    return followed.head
