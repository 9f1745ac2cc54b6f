"""What the relay announces: commits that PostgreSQL speaks of and that nobody was heard to announce.

Pure: the clock is handed in, in monotonic seconds. It keeps heads, never values. One service is settled when the chain
that was announced ends at the revision that PostgreSQL notified of last, and the newest announcement heard is its end.
Everything else falls due after a moment and is read from PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from hotconfig.core.chain import Change, ChangeSet, Head, genesis

SETTLE_S: Final = 0.02
"""How long a writer may take from its commit to its own announcement before the relay makes one."""
REORDERED_S: Final = 0.1
"""How long an old announcement may stay the last one that was heard. Who keeps the last plain text would keep it."""
DOUBT_S: Final = 1.0
"""How long PostgreSQL's own word may lag behind an announcement, or seem to go backwards, before it is looked up."""
REACH: Final = 100
"""Revisions of one service that are announced later at most. Whoever missed more reads PostgreSQL anyway."""
LATELY_S: Final = 60.0
"""A new leader announces the newest commit of a service again that moved within this time."""
LATELY_MAX: Final = 500
"""Services that this is done for at most, those that moved last."""
MAX_AHEAD: Final = 64
"""Announcements of one service that may wait for an earlier one."""
MAX_ASKED: Final = 500
"""Services that one read asks for."""


class Standing(NamedTuple):
    """Where a service stands when a relay begins. ``lately``: it moved within ``LATELY_S``."""

    service: str
    head: Head
    parent: Head
    lately: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the history. ``text`` is None where ``withheld``; ``everyones`` is False for one tenant's value."""

    revision: int
    key: str
    text: str | None
    deleted: bool
    withheld: bool
    everyones: bool
    by: str
    reason: str | None
    at: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Missed:
    """What PostgreSQL says of one service.

    ``known``: the chain holds the head that was asked for; then ``rows`` follow it, those of ``REACH`` revisions at
    most, else they are the newest commit. ``base`` is the head before the first of them.
    """

    service: str
    known: bool
    head: Head
    base: Head
    rows: tuple[Row, ...]

    def change_sets(self) -> list[ChangeSet]:
        """The commits as their writers would have announced them, oldest first."""
        commits: dict[int, list[Row]] = {}
        for row in self.rows:
            commits.setdefault(row.revision, []).append(row)
        parent, made = self.base, list[ChangeSet]()
        for revision, rows in commits.items():
            made.append(_change_set(self.service, parent, revision, rows))
            parent = made[-1].head
        return made


def _change_set(service: str, parent: Head, revision: int, rows: list[Row]) -> ChangeSet:
    """A commit may touch a key several times: what counts is what it leaves behind."""
    everyones = [row for row in rows if row.everyones]
    secret = {row.key for row in everyones if row.withheld}
    left = {row.key: row for row in everyones}
    changes = tuple(_change(row, withheld=key in secret) for key, row in left.items())
    last = rows[-1]
    return ChangeSet(service, parent, Head(revision, last.digest), changes, last.at, last.by, last.reason)


def _change(row: Row, *, withheld: bool) -> Change:
    if row.deleted:
        return Change(row.key, deleted=True)
    return Change(row.key, withheld=True) if withheld else Change(row.key, row.text)


@dataclass(slots=True)
class _Service:
    """What is known of one service.

    ``told``: where the announced chain ends. ``notified``: PostgreSQL's newest word; ``doubted``: it did not grow, as
    after a restore. ``heard``: the announcement that came last, None if none was heard since the ear opened.
    """

    told: Head
    notified: int
    heard: Head | None = None
    doubted: bool = False
    due_s: float = inf
    ahead: dict[Head, Head] = field(default_factory=dict[Head, Head])

    @property
    def reordered(self) -> bool:
        """An announcement from before the end came after it. One from long ago is a replay, and hurts nobody."""
        return self.heard is not None and 0 < self.told.revision - self.heard.revision <= REACH

    @property
    def asked(self) -> Head:
        """Where a read has to begin."""
        return self.heard if self.heard is not None and self.reordered else self.told


class Relaying:
    """Which services are settled, and which have to be read. One thread's own."""

    def __init__(self) -> None:
        self.skipped: int = 0
        self._services: dict[str, _Service] = {}
        self._unsettled: set[str] = set()

    def begin(self, standings: Iterable[Standing], now_s: float) -> None:
        """Start from where the services stand; those known from before go on from where they were."""
        known, self._services = self._services, {}
        self._unsettled.clear()
        for standing in standings:
            state = known.get(standing.service)
            if state is None:
                state = _Service(standing.parent if standing.lately else standing.head, 0)
            state.notified = standing.head.revision
            state.heard, state.doubted, state.due_s = None, False, inf
            self._services[standing.service] = state
            if state.told != standing.head:
                state.due_s = now_s
                self._unsettled.add(standing.service)

    def forget(self) -> None:
        """Somebody else leads: what was known grows old."""
        self._services.clear()
        self._unsettled.clear()

    def deaf(self) -> None:
        """The ear was closed: what was announced meanwhile is not known."""
        for state in self._services.values():
            state.heard = None
            state.ahead.clear()

    def notified(self, service: str, revision: int, now_s: float) -> None:
        """PostgreSQL says that a service has reached a revision."""
        state = self._state(service)
        state.doubted = state.doubted or revision <= state.notified
        state.notified = revision
        self._reckon(service, state, now_s, moved=False)

    def heard(self, change_set: ChangeSet, now_s: float) -> None:
        """Somebody announced a commit, with a signature that holds."""
        state = self._state(change_set.service)
        before, state.heard = state.told, change_set.head
        if change_set.parent == state.told:
            self._advance(state, change_set.head)
        elif change_set.parent.revision > state.told.revision and len(state.ahead) < MAX_AHEAD:
            state.ahead[change_set.parent] = change_set.head
        self._reckon(change_set.service, state, now_s, moved=state.told != before)

    def next_s(self) -> float:
        """When the next service falls due; infinity if all are settled."""
        return min((self._services[service].due_s for service in self._unsettled), default=inf)

    def due(self, now_s: float) -> dict[str, Head]:
        """What has to be read now: services with the head to read from."""
        due = (service for service in self._unsettled if self._services[service].due_s <= now_s)
        return {service: self._services[service].asked for service, _ in zip(due, range(MAX_ASKED), strict=False)}

    def announced(self, change_set: ChangeSet) -> None:
        """The relay itself announced a commit."""
        state = self._state(change_set.service)
        state.told, state.heard = change_set.head, None

    def settle(self, asked: Mapping[str, Head], answered: Iterable[Missed]) -> None:
        """All that was read is announced. Services that PostgreSQL does not know are forgotten."""
        heads = {missed.service: missed.head for missed in answered}
        for service in asked:
            self._unsettled.discard(service)
            if service in heads:
                self._services[service] = _Service(heads[service], heads[service].revision)
            else:
                del self._services[service]

    def _state(self, service: str) -> _Service:
        state = self._services.get(service)
        if state is None:
            state = self._services[service] = _Service(genesis(service), 0)
        return state

    def _advance(self, state: _Service, head: Head) -> None:
        state.told = head
        self.skipped += 1
        while (following := state.ahead.pop(state.told, None)) is not None:
            state.told = following
            self.skipped += 1

    def _reckon(self, service: str, state: _Service, now_s: float, *, moved: bool) -> None:
        """When the service falls due. Where announcements keep coming in time, never."""
        if state.notified > state.told.revision:
            state.due_s = now_s + SETTLE_S if moved else min(state.due_s, now_s + SETTLE_S)
        elif state.reordered:
            state.due_s = now_s + REORDERED_S
        elif state.doubted or state.notified < state.told.revision:
            state.due_s = now_s + DOUBT_S
        else:
            state.due_s = inf
        if state.due_s == inf:
            self._unsettled.discard(service)
        else:
            self._unsettled.add(service)
