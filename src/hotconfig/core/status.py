"""What a process can say about itself: its state, where each service stands, and what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Outcome, Rejected


class State(Enum):
    """How a process stands."""

    NOT_READY = "NOT_READY"
    """Not started, or nothing was read from PostgreSQL yet."""
    READY = "READY"
    """Changes arrive, and PostgreSQL confirmed the values lately."""
    DEGRADED = "DEGRADED"
    """Redis is away. The values stay, and changes arrive through PostgreSQL."""
    STALE = "STALE"
    """PostgreSQL is away, or has not confirmed the values for longer than the bound. The values stay."""
    CLOSED = "CLOSED"
    """Closed. The values stay as they were."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A process came from one state into another, as listeners of :meth:`hotconfig.HotConfig.on_state` see it.

    Attributes:
        old: The state before.
        new: The state now.
        since: When, in UTC.
        last_error: The newest error of PostgreSQL or Redis; it may be older than the change. None on the way to
            ``READY``.
    """

    old: State
    new: State
    since: datetime
    last_error: str | None = None


class Origin(Enum):
    """Where the values that a live object shows came from."""

    POSTGRESQL = "postgresql"
    LAST_KNOWN_GOOD = "last_known_good"
    """From the file of that name, since PostgreSQL was away when the class was bound."""
    DEFAULTS = "defaults"
    """From the class's other sources alone, since PostgreSQL was away when the class was bound."""


@dataclass(slots=True)
class Counters:
    """Counted since the start. Written by the line's thread alone."""

    messages: int = 0
    applied: int = 0
    duplicates: int = 0
    outdated: int = 0
    hints: int = 0
    rejected: dict[str, int] = field(default_factory=dict[str, int])
    reads: int = 0
    read_failures: int = 0
    connections: int = 0
    connection_failures: int = 0
    rewinds: int = 0
    line_errors: int = 0
    drift: int = 0
    restarts: int = 0

    def count(self, outcome: Outcome) -> None:
        """Count one outcome."""
        match outcome:
            case Applied(rewound=rewound):
                self.applied += 1
                self.rewinds += rewound
            case Duplicate():
                self.duplicates += 1
            case NeedsRead():
                self.hints += 1
            case Rejected(stage=stage, rewound=rewound):
                self.rewinds += rewound
                self.rejected[stage.value] = self.rejected.get(stage.value, 0) + 1
            case _:
                self.outdated += 1


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Where one service stands in this process.

    Attributes:
        revision: The newest commit known here.
        shown_revision: The commit that the live object shows; lower while ``problems`` is not empty.
        digest: The digest of ``revision``, in hexadecimal.
        problems: Why the newest commit was rejected, by key and without values.
        pinned_keys: Keys that this process does not take from PostgreSQL.
        unknown_keys: Keys in PostgreSQL that the class does not have; they are ignored.
        origin: Where the values came from; anything but PostgreSQL only until PostgreSQL answers.
        confirmed_at: When PostgreSQL last confirmed the values, in UTC; with :attr:`Origin.LAST_KNOWN_GOOD`, what the
            file holds. None before the first time, and with :attr:`Origin.DEFAULTS`.
        withheld_keys: Keys that the file left out, being sensitive; they show what lies below PostgreSQL.
    """

    settings_class: str
    revision: int
    shown_revision: int
    digest: str
    problems: Mapping[str, str]
    pinned_keys: tuple[str, ...]
    unknown_keys: tuple[str, ...]
    origin: Origin = Origin.POSTGRESQL
    confirmed_at: datetime | None = None
    withheld_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How a process stands, at one moment.

    Attributes:
        since: When it came into this state, in UTC.
        verified_age_s: Seconds since PostgreSQL last confirmed the values; None before the first time.
        redis: ``"connected"``, ``"away"``, or ``"unused"`` where no Redis is configured.
        last_error: The newest error of PostgreSQL or Redis; it stays when the trouble is over.
        counters: Numbers since the start.
        listener_errors: Calls of listeners that raised.
        listener_dropped: Events dropped because a listener was too slow.
        relay: ``"leading"`` or ``"waiting"`` with ``relay=True``, else ``"off"``.
        lag_s: How late the line ran at worst within the last one or two minutes, in seconds, after the clock had
            called for it. Where the application holds the interpreter's lock, or the process was stopped, changes were
            shown late by as much.
    """

    state: State
    since: datetime
    verified_age_s: float | None
    redis: str
    last_error: str | None
    services: Mapping[str, ServiceStatus]
    counters: Mapping[str, object]
    listener_errors: int
    listener_dropped: int
    relay: str = "off"
    lag_s: float = 0.0

    @classmethod
    def before_start(cls, since: datetime, *, closed: bool) -> Status:
        """Of a process that never started."""
        state = State.CLOSED if closed else State.NOT_READY
        return cls(state, since, None, "unused", None, {}, {}, 0, 0)
