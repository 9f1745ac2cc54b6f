"""The judge: what a reader at some head does with a change set or with rows read from PostgreSQL.

Pure decisions. One rule covers loss, duplication, reordering, replay, forgery, restore and failover: a change set is
accepted exactly when its parent is the reader's head; everything else is dropped or is a reason to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from hotconfig.core.chain import Change, ChangeSet, Head


class Verdict(Enum):
    """What to do with a change set."""

    APPLY = "apply"
    DUPLICATE = "duplicate"
    """It ends where the reader stands."""
    STALE = "stale"
    """It ends before the reader's head."""
    AHEAD = "ahead"
    """Its parent is not here yet: wait a moment for it, then read."""
    FORK = "fork"
    """It names another digest for a revision that the reader has: read."""
    WITHHELD = "withheld"
    """It is the next one, but its values were not sent along: read."""


def judge(change_set: ChangeSet, head: Head) -> Verdict:
    """Hold a change set, whose signature was verified, against the reader's head."""
    if change_set.head == head:
        return Verdict.DUPLICATE
    if change_set.parent == head:
        return Verdict.APPLY if change_set.complete else Verdict.WITHHELD
    if change_set.head.revision < head.revision:
        return Verdict.STALE
    if head.revision in (change_set.head.revision, change_set.parent.revision):
        return Verdict.FORK
    return Verdict.AHEAD


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one read of PostgreSQL says about one service.

    ``asked`` is the head that the reader stood at when it asked. ``known``: the chain in PostgreSQL holds that digest.
    ``changes`` leads from ``asked`` to ``head`` if ``known``, else they are all current keys. ``by`` made all of them,
    and ``reason`` is that of all; ``several``: more than one did.
    """

    service: str
    asked: Head
    head: Head
    known: bool
    changes: tuple[Change, ...]
    in_recovery: bool = False
    by: str | None = None
    reason: str | None = None
    at: str | None = None
    several: bool = False


class Reading(Enum):
    """What to do with a :class:`Loaded`."""

    CURRENT = "current"
    """PostgreSQL and the reader agree."""
    FORWARD = "forward"
    """Apply the changes on top of what the reader has."""
    REPLACE = "replace"
    """The reader had nothing yet, or not all: take all keys."""
    REWIND = "rewind"
    """PostgreSQL does not hold the reader's digest (restore, failover, forgery): take all keys, loudly."""
    BEHIND = "behind"
    """A standby that has not reached the reader's revision: keep what the reader has."""
    OVERTAKEN = "overtaken"
    """The reader moved on while the read was under way, past what it saw: nothing to do."""
    AGAIN = "again"
    """The reader moved while the read was under way and the two cannot be compared: read once more."""


def judge_loaded(loaded: Loaded, head: Head | None) -> Reading:
    """Hold a read against the reader's head; None is a reader that has not loaded anything yet."""
    if head is None:
        return Reading.REPLACE
    if loaded.head == head:
        return Reading.CURRENT
    if loaded.asked != head:
        return Reading.OVERTAKEN if loaded.known and loaded.head.revision < head.revision else Reading.AGAIN
    if loaded.known:
        return Reading.FORWARD
    # A standby that has the reader's revision, or a later one, and not its digest is no longer merely behind.
    behind = loaded.in_recovery and loaded.head.revision < head.revision
    return Reading.BEHIND if behind else Reading.REWIND


def judge_whole(loaded: Loaded, head: Head, begun: Head) -> Reading:
    """Hold a read of everything against a reader that lacks some values of its head, and needs them all.

    ``begun`` is the head that the reader was given without those values.
    """
    if loaded.head.revision < begun.revision:
        return Reading.BEHIND if loaded.in_recovery else Reading.REWIND
    if loaded.head.revision == begun.revision and loaded.head != begun:
        return Reading.REWIND
    return Reading.AGAIN if loaded.head.revision < head.revision else Reading.REPLACE


def applied(texts: Mapping[str, str | None], changes: tuple[Change, ...]) -> dict[str, str | None]:
    """The texts after some changes; a new dict."""
    result = dict(texts)
    for change in changes:
        if change.deleted:
            result.pop(change.key, None)
        else:
            result[change.key] = change.text
    return result
