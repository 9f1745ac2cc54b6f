"""A PostgreSQL of the mind: one service's commits, heads and answers, for tests that need no server."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable

from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.judge import Loaded, applied
from hotconfig.core.wire import messages

KEYRING = {1: b"1" * 32, 2: b"2" * 32}
State = dict[str, str | None]


class Truth:
    """The commits of one service. ``states`` remembers every state that was ever true, by its head."""

    def __init__(self, service: str = "ai") -> None:
        self.service = service
        self.commits: list[ChangeSet] = []
        self.states: dict[Head, State] = {genesis(service): {}}
        self._nonce = itertools.count()

    @property
    def head(self) -> Head:
        return self.commits[-1].head if self.commits else genesis(self.service)

    @property
    def state(self) -> State:
        return self.states[self.head]

    def commit(self, *changes: Change, withhold: Iterable[str] = (), **texts: str | None) -> ChangeSet:
        """Commit changes and texts by key; return what is announced, without the values to be withheld."""
        made = (*changes, *(Change(key, text) for key, text in texts.items()))
        parent = self.head
        digest = hashlib.sha256(parent.digest + repr((made, next(self._nonce))).encode()).digest()
        head = Head(parent.revision + 1, digest)
        self.states[head] = applied(self.state, made)
        hidden = set(withhold)
        told = tuple(Change(c.key, withheld=True) if c.key in hidden else c for c in made)
        at = f"2026-01-01T00:00:00.{head.revision:06d}Z"
        announced = ChangeSet(self.service, parent, head, told, at, by=f"writer {head.revision}", reason="why not")
        self.commits.append(announced)
        return announced

    def restore(self, revision: int) -> None:
        """Go back to an older backup: what came after never happened."""
        del self.commits[revision:]

    def answer(self, asked: Head | None, *, lag: int = 0, in_recovery: bool = False) -> Loaded:
        """What a read says; with ``lag``, what a database says that lacks the newest commits."""
        known_heads = [genesis(self.service), *(commit.head for commit in self.commits)]
        known_heads = known_heads[: max(1, len(known_heads) - lag)]
        head = known_heads[-1]
        asked = asked or genesis(self.service)
        known = asked.revision == 0 or asked in known_heads
        state = self.states[head]
        if known and asked.revision > 0:
            later = self.commits[asked.revision : head.revision]
            keys = dict.fromkeys(change.key for commit in later for change in commit.changes)
            changes = tuple(Change(k, state[k]) if k in state else Change(k, deleted=True) for k in keys)
        else:
            changes = tuple(Change(key, text) for key, text in state.items())
        return Loaded(self.service, asked, head, known, changes, in_recovery, by="reader", reason="read", at="now")


def published(change_set: ChangeSet) -> list[tuple[bytes, bytes]]:
    """Channel and data of every message of a commit."""
    return [(channel.encode(), data) for channel, data in messages(change_set, KEYRING)]


def signed(change_set: ChangeSet) -> tuple[bytes, bytes]:
    """Channel and data of the signed message alone."""
    return published(change_set)[0]
