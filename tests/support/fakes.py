"""Ports in memory: a truth that is a list of commits, and a subscription over a socket pair."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections import deque
from collections.abc import Iterable, Mapping

from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.errors import HotConfigError, RedisUnavailableError
from hotconfig.core.judge import Loaded, applied
from hotconfig.core.names import service_pattern
from hotconfig.core.ports import Answer, Confirmed, Event, Message, Pong
from hotconfig.core.wire import Keyring, messages

KEYRING: Keyring = {1: b"k" * 32}


class MemoryTruth:
    """The truth of any number of services; answers as PostgreSQL does, in full each time."""

    def __init__(self) -> None:
        self.commits: dict[str, list[ChangeSet]] = {}
        self.error: HotConfigError | None = None
        self.asked: list[dict[str, Head]] = []
        self.registered: list[str] = []
        self.answering = threading.Event()
        self.answering.set()

    def commit(self, service: str, *changes: Change) -> ChangeSet:
        made = self.commits.setdefault(service, [])
        parent = made[-1].head if made else genesis(service)
        digest = hashlib.sha256(parent.digest + repr(changes).encode()).digest()
        change_set = ChangeSet(service, parent, Head(parent.revision + 1, digest), changes, "at", "ann", "why")
        made.append(change_set)
        return change_set

    def load(self, asked: Mapping[str, Head]) -> Answer:
        self.asked.append(dict(asked))
        self.answering.wait(10)
        if self.error is not None:
            raise self.error
        return Answer(tuple(self._loaded(service, head) for service, head in asked.items()), KEYRING, in_recovery=False)

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:  # noqa: ARG002 - as the port has it
        self.registered.append(service)

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing is open."""

    def _loaded(self, service: str, asked: Head) -> Loaded:
        made = self.commits.get(service, [])
        heads = [genesis(service), *(change_set.head for change_set in made)]
        known = asked in heads
        since = made[heads.index(asked) :] if known and asked.revision else made
        texts: dict[str, str | None] = {}
        for change_set in made:
            texts = applied(texts, change_set.changes)
        keys = {change.key for change_set in since for change in change_set.changes}
        changes = tuple(Change(key, texts.get(key), deleted=key not in texts) for key in sorted(keys))
        return Loaded(service, asked, heads[-1], known, changes)


class MemorySubscription:
    """Hears what the test lets it hear."""

    def __init__(self, services: Iterable[str], *, confirming: bool = True) -> None:
        self.confirming = confirming
        self.ponging = True
        self.pings = 0
        self.closed = False
        self._events: deque[Event] = deque()
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self.follow(services)

    def fileno(self) -> int:
        return self._reading.fileno()

    def follow(self, services: Iterable[str]) -> bool:
        for service in services:
            if self.confirming:
                self.put(Confirmed(service_pattern(service)))
        return True

    def ping(self) -> None:
        self.pings += 1
        if self.ponging:
            self.put(Pong())

    def receive(self, limit: int) -> list[Event]:
        if self.closed:
            raise RedisUnavailableError("closed")
        found: list[Event] = []
        while self._events and len(found) < limit:
            found.append(self._events.popleft())
        if not self._events:
            self._drain()
        return found

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._reading.close()
            self._writing.close()

    def abandon(self) -> None:
        self.close()

    def put(self, event: Event) -> None:
        self._events.append(event)
        with contextlib.suppress(OSError):  # the follower has closed it: what is sent now is lost, as it would be
            self._writing.send(b"\0")

    def announce(self, change_set: ChangeSet) -> None:
        for channel, data in messages(change_set, KEYRING):
            self.put(Message(channel.encode(), data))

    def _drain(self) -> None:
        try:
            while self._reading.recv(4096):
                pass
        except BlockingIOError:
            return


class MemoryRedis:
    """Hands out subscriptions, or refuses."""

    def __init__(self) -> None:
        self.up = True
        self.confirming = True
        self.opened: list[MemorySubscription] = []

    def open(self, services: Iterable[str]) -> MemorySubscription:
        if not self.up:
            raise RedisUnavailableError("down")
        self.opened.append(MemorySubscription(services, confirming=self.confirming))
        return self.opened[-1]

    @property
    def current(self) -> MemorySubscription:
        return self.opened[-1]
