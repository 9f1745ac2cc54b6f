"""The truth and the channel of :mod:`hotconfig.testing.memory`, with what tests of single parts hold and count."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from hotconfig.core.chain import Change, ChangeSet, Head
from hotconfig.core.errors import HotConfigError, RedisUnavailableError
from hotconfig.core.ports import Answer, Message
from hotconfig.core.wire import Keyring, messages
from hotconfig.testing.memory import MemoryChannel, MemorySubscription
from hotconfig.testing.memory import MemoryTruth as PublicTruth

KEYRING: Keyring = {1: b"k" * 32}


class MemoryTruth(PublicTruth):
    """Counts what it is asked, answers when the test lets it, and signs with a known key."""

    def __init__(self) -> None:
        super().__init__()
        self._keyring = KEYRING
        self.asked: list[dict[str, Head]] = []
        self.registered: list[str] = []
        self.commits: dict[str, list[ChangeSet]] = {}
        self.answering = threading.Event()
        self.answering.set()

    @property
    def error(self) -> HotConfigError | None:
        return self._error

    @error.setter
    def error(self, error: HotConfigError | None) -> None:
        self._error = error

    def commit(
        self,
        service: str,
        *changes: Change,
        by: str = "ann",
        reason: str | None = "why",
        sensitive: Iterable[str] = (),
    ) -> ChangeSet:
        error, self._error = self._error, None  # who commits here reaches it in any case
        try:
            made = super().commit(service, *changes, by=by, reason=reason, sensitive=sensitive)
        finally:
            self._error = error
        self.commits.setdefault(service, []).append(made)
        return made

    def rewind(self, service: str, revision: int) -> None:
        super().rewind(service, revision)
        del self.commits.setdefault(service, [])[revision:]

    def load(self, asked: Mapping[str, Head]) -> Answer:
        self.asked.append(dict(asked))
        self.answering.wait(10)
        return super().load(asked)

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        self.registered.append(service)
        super().register(service, schema_hash, json_schema)


class HeldSubscription(MemorySubscription):
    """Confirms and answers only if the test lets it."""

    def __init__(self, services: Iterable[str], *, confirming: bool = True) -> None:
        self.confirming = confirming
        self.ponging = True
        self.pings = 0
        super().__init__(services)

    def ping(self) -> None:
        self.pings += 1
        if self.ponging:
            super().ping()

    def confirm(self, pattern: str) -> None:
        if self.confirming:
            super().confirm(pattern)

    def announce(self, change_set: ChangeSet) -> None:
        for channel, data in messages(change_set, KEYRING):
            self.put(Message(channel.encode(), data))


class MemoryRedis(MemoryChannel):
    """Keeps the subscriptions that it hands out, or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.confirming = True
        self.opened: list[HeldSubscription] = []

    @property
    def up(self) -> bool:
        return self._error is None

    @up.setter
    def up(self, up: bool) -> None:
        self._error = None if up else RedisUnavailableError("down")

    def _make(self, services: Iterable[str], subscribe_all: bool) -> HeldSubscription:  # noqa: ARG002 - as the base
        self.opened.append(HeldSubscription(services, confirming=self.confirming))
        return self.opened[-1]

    @property
    def current(self) -> HeldSubscription:
        return self.opened[-1]
