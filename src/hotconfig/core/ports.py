"""What the runtime needs from the outside, as contracts. One conformance suite holds for every implementation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from hotconfig.core.chain import Change, ChangeSet, Head
from hotconfig.core.judge import Loaded
from hotconfig.core.relaying import Missed, Standing
from hotconfig.core.wire import Keyring


@dataclass(frozen=True, slots=True)
class Answer:
    """What one read says: every asked service, and the keys that signatures are verified with.

    ``caught_up``: of a standby, that it is connected to its primary and shows all that it has received.
    """

    loaded: tuple[Loaded, ...]
    keyring: Keyring
    in_recovery: bool
    caught_up: bool = False


class Reader(Protocol):
    """Reads the truth. Used by one thread.

    1. ``load`` answers for all services from **one** database snapshot, in one round trip once connected.
    2. Where ``asked`` holds a digest that is in the history, only what changed since comes back, else everything.
    3. A service that nobody wrote to is at its genesis, and that is an answer, not an error.
    4. Errors are ours (``DatabaseUnavailableError``, ``AccessDeniedError``, ``SchemaMissingError``); after one,
       the next call connects anew.
    5. No call takes longer than its documented bound.
    """

    def load(self, asked: Mapping[str, Head]) -> Answer:
        """Read; see the obligations above."""
        ...

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        """Let the database know a class's JSON Schema; a role that may not write it changes nothing."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """A commit to be made. ``commit_id`` makes it safe to send twice."""

    service: str
    changes: Sequence[Change]
    sensitive: frozenset[str]
    by: str
    reason: str | None
    expect: int | None
    commit_id: UUID


class Written(NamedTuple):
    """What became of an order. ``moved`` is False when nothing differed; then no commit was made."""

    moved: bool
    head: Head
    parent: Head
    at: str


class Writer(Protocol):
    """Writes the truth. Used by any number of threads.

    1. One round trip; either everything is committed or nothing.
    2. An order is carried out at most once, also when the connection breaks at COMMIT: then PostgreSQL is asked
       what became of it, and ``OutcomeUnknownError`` is raised only if it cannot be asked.
    3. ``expect`` that is not the head raises ``ConflictError``.
    """

    def write(self, order: Order) -> Written:
        """Commit; see the obligations above."""
        ...

    def keyring(self) -> Keyring:
        """The signing keys, read once and kept."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...

    def abandon(self) -> None:
        """In a forked child: close the copies of the idle sockets, send nothing."""
        ...


class Announcer(Protocol):
    """Tells readers about commits. Used by any number of threads."""

    def announce(self, change_set: ChangeSet, keyring: Keyring) -> None:
        """Publish the signed and the plain form in one round trip.

        Raises:
            RedisUnavailableError: nothing was announced, or it is not known; the commit stands.
        """
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...

    def abandon(self) -> None:
        """In a forked child: close the copies of the idle sockets, send nothing."""
        ...


class Message(NamedTuple):
    """One published message."""

    channel: bytes
    data: bytes


class Confirmed(NamedTuple):
    """The server confirmed a subscription: whatever was published before may have been missed."""

    pattern: str


class Notified(NamedTuple):
    """A service has reached a revision, says PostgreSQL."""

    service: str
    revision: int


class Pong(NamedTuple):
    """The server is alive."""


Event = Message | Notified | Confirmed | Pong


class Subscription(Protocol):
    """One connection that hears messages. Used by the line's thread, after ``open`` ran on another.

    1. Any error is final: the object is discarded and a new one opened.
    2. ``receive`` never blocks. ``fileno`` becomes readable when there is something to receive.
    3. Every confirmation is handed out, also those after a reconnection that a driver made by itself.
    """

    def fileno(self) -> int:
        """The socket to wait on."""
        ...

    def follow(self, services: Iterable[str]) -> bool:
        """Hear these services too. True: a :class:`Confirmed` follows for each; False: they are heard already."""
        ...

    def ping(self) -> None:
        """Ask for a :class:`Pong`."""
        ...

    def receive(self, limit: int) -> list[Event]:
        """What has arrived, at most ``limit`` events."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        ...


class RelaySession(Protocol):
    """What the relay asks of the truth, on one connection. Used by the relay's thread.

    1. ``try_lead`` never waits. At most one session at a time holds the role, and loses it when it ends.
    2. A session that is silent for longer than its documented bound is ended by the server.
    3. It hears of every commit that is made after it was opened.
    4. Any error is final: the object is discarded and a new one opened.
    """

    def try_lead(self) -> bool:
        """Take the role if it is free."""
        ...

    def standings(self) -> list[Standing]:
        """Where every service stands."""
        ...

    def keyring(self) -> Keyring:
        """The signing keys as they are now."""
        ...

    def missed(self, asked: Mapping[str, Head]) -> list[Missed]:
        """What was committed after these heads, from one snapshot; nothing of services without a commit."""
        ...

    def beat(self) -> None:
        """A sign of life, and a look whether the server gives one."""
        ...

    def fileno(self) -> int:
        """The socket to wait on."""
        ...

    def receive(self) -> list[Notified]:
        """The notifications that have arrived. Does not block."""
        ...

    def close(self) -> None:
        """Close the socket, and give up the role."""
        ...

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        ...
