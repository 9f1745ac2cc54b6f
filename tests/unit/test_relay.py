"""The relay's thread on ports in memory: who leads, what it does when something breaks, that it always ends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from time import monotonic

import pytest

from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.errors import (
    AccessDeniedError,
    ConfigurationError,
    DatabaseUnavailableError,
    HotConfigError,
    RedisUnavailableError,
    RetryableError,
)
from hotconfig.core.ports import Notified
from hotconfig.core.relaying import Missed, Row, Standing
from hotconfig.core.wire import Keyring
from hotconfig.runtime import relay as module
from hotconfig.runtime.relay import Relay, Role, Told
from tests.support.fakes import KEYRING, MemoryRedis, MemoryTruth
from tests.support.waiting import eventually


class World:
    """PostgreSQL and Redis in memory."""

    def __init__(self) -> None:
        self.truth = MemoryTruth()
        self.redis = MemoryRedis()
        self.leader: MemorySession | None = None
        self.sessions: list[MemorySession] = []
        self.database_error: HotConfigError | None = None
        self.redis_error: HotConfigError | None = None
        self.announced: list[ChangeSet] = []
        self.relays: list[Relay] = []
        self.told: list[Told] = []

    def relay(self) -> Relay:
        made = Relay(lambda: MemorySession(self), self.redis.open, MemoryAnnouncer(self), self.told.append)
        self.relays.append(made)
        made.start()
        return made

    def commit(self, text: str, *, announced: bool = False) -> ChangeSet:
        made = self.truth.commit("ai", Change("threshold", text))
        if announced:
            self.redis.current.announce(made)
        for session in self.sessions:
            session.hear(Notified("ai", made.head.revision))
        return made

    def check(self) -> None:
        if self.database_error is not None:
            raise self.database_error

    def events(self, *left_out: str) -> list[str]:
        return [told.event for told in self.told if told.event not in left_out]


class MemorySession:
    """One connection to the truth in memory."""

    def __init__(self, world: World) -> None:
        world.check()
        self._world = world
        self._notified: list[Notified] = []
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        world.sessions.append(self)

    def try_lead(self) -> bool:
        self._world.check()
        if self._world.leader is None:
            self._world.leader = self
        return self._world.leader is self

    def standings(self) -> list[Standing]:
        return [
            Standing(service, made[-1].head, made[-1].parent, lately=True)
            for service, made in self._world.truth.commits.items()
        ]

    def keyring(self) -> Keyring:
        return KEYRING

    def missed(self, asked: Mapping[str, Head]) -> list[Missed]:
        self._world.check()
        return [self._missed(service, head) for service, head in asked.items()]

    def beat(self) -> None:
        self._world.check()

    def fileno(self) -> int:
        return self._reading.fileno()

    def receive(self) -> list[Notified]:
        self._world.check()
        with contextlib.suppress(BlockingIOError):
            self._reading.recv(4096)
        taken, self._notified = self._notified, []
        return taken

    def hear(self, notified: Notified) -> None:
        self._notified.append(notified)
        with contextlib.suppress(OSError):
            self._writing.send(b"\0")

    def close(self) -> None:
        if self._world.leader is self:
            self._world.leader = None
        if self in self._world.sessions:
            self._world.sessions.remove(self)
        self._reading.close()
        self._writing.close()

    def abandon(self) -> None:
        self.close()

    def _missed(self, service: str, asked: Head) -> Missed:
        made = self._world.truth.commits[service]
        heads = [genesis(service), *(one.head for one in made)]
        base = asked if asked in heads else made[-1].parent
        rows = (_row(one, change) for one in made[heads.index(base) :] for change in one.changes)
        return Missed(service, asked in heads, heads[-1], base, tuple(rows))


def _row(one: ChangeSet, change: Change) -> Row:
    return Row(
        one.head.revision,
        change.key,
        change.text,
        deleted=change.deleted,
        withheld=False,
        everyones=True,
        by=one.by,
        reason=one.reason,
        at=one.at,
        digest=one.head.digest,
    )


class MemoryAnnouncer:
    """Publishes into the memory of the test."""

    def __init__(self, world: World) -> None:
        self._world = world

    def announce(self, change_set: ChangeSet, keyring: Keyring) -> None:
        assert keyring == KEYRING
        if self._world.redis_error is not None:
            raise self._world.redis_error
        self._world.announced.append(change_set)

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing is open."""


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    for relay in made.relays:
        relay.stop()
        assert relay.join(5)


def leading(relay: Relay) -> Relay:
    eventually(lambda: relay.role is Role.LEADING)
    return relay


def test_what_nobody_announces_is_announced(world: World) -> None:
    leading(world.relay())
    made = world.commit("0.9")
    eventually(lambda: world.announced == [made])


def test_what_was_announced_is_not(world: World) -> None:
    relay = leading(world.relay())
    eventually(lambda: relay._ear.hearing)
    world.commit("0.8", announced=True)
    made = world.commit("0.9")
    eventually(lambda: world.announced == [made])
    assert relay.counted() == {"relay_announced": 1, "relay_skipped": 1}


def test_one_leads_and_the_other_takes_over(world: World) -> None:
    first = leading(world.relay())
    second = world.relay()
    second.first_attempt(5)
    assert second.role is Role.WAITING
    first.stop()
    leading(second)
    assert first.role is Role.OFF


def test_a_lost_connection_is_made_anew_and_what_was_missed_is_announced(world: World) -> None:
    relay = leading(world.relay())
    world.commit("0.8")
    eventually(lambda: len(world.announced) == 1)
    world.database_error = DatabaseUnavailableError("down")
    eventually(lambda: relay.role is Role.WAITING)
    missed = [world.truth.commit("ai", Change("threshold", text)) for text in ("0.85", "0.9")]
    world.database_error = None
    eventually(lambda: world.announced[1:] == missed)
    assert world.events("away", "announced")[:3] == ["leading", "lost", "leading"]


def test_what_redis_does_not_take_is_announced_when_it_does(world: World) -> None:
    leading(world.relay())
    world.redis_error = RedisUnavailableError("down")
    made = [world.commit("0.8"), world.commit("0.9")]
    eventually(lambda: "redis away" in world.events())
    world.redis_error = None
    eventually(lambda: world.announced == made)
    assert world.events() == ["leading", "redis away", "redis back", "announced", "announced"]


def test_a_missing_right_to_subscribe_does_not_keep_it_from_announcing(world: World) -> None:
    def refuse(_: Iterable[str]) -> None:
        raise AccessDeniedError("no &config:*")

    world.redis.open = refuse  # type: ignore[assignment,method-assign]
    leading(world.relay())
    eventually(lambda: "deaf" in world.events())
    made = world.commit("0.9")
    eventually(lambda: world.announced == [made])


def test_an_ear_that_cannot_be_opened_holds_announcements_up_for_a_while_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REDIS_AWAY_S", 0.3)
    world.redis.up = False
    leading(world.relay())
    eventually(lambda: world.events().count("deaf") > 2)
    made = world.commit("0.9")
    eventually(lambda: world.announced == [made])


def test_a_wrong_configuration_is_told_to_who_waits(world: World) -> None:
    world.database_error = ConfigurationError("behind a pooler")
    with pytest.raises(ConfigurationError, match="pooler"):
        world.relay().first_attempt(5)


def test_postgresql_that_is_away_is_told_and_tried_again(world: World) -> None:
    world.database_error = DatabaseUnavailableError("down")
    relay = world.relay()
    with pytest.raises(RetryableError, match="down"):
        relay.first_attempt(5)
    world.database_error = None
    leading(relay)


def test_a_bug_does_not_end_it(world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    leading(world.relay())
    broken = threading.Event()
    whole: Callable[..., list[Missed]] = MemorySession.missed

    def stumble(session: MemorySession, asked: Mapping[str, Head]) -> list[Missed]:
        if not broken.is_set():
            broken.set()
            raise ZeroDivisionError
        return whole(session, asked)

    monkeypatch.setattr(MemorySession, "missed", stumble)
    made = world.commit("0.9")
    eventually(lambda: world.announced == [made])
    assert "the relay stumbled" in caplog.text


def test_waiting_costs_an_attempt_now_and_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    leading(world.relay())
    attempts: list[object] = []
    whole: Callable[..., bool] = MemorySession.try_lead

    def count(session: MemorySession) -> bool:
        attempts.append(session)
        return whole(session)

    monkeypatch.setattr(MemorySession, "try_lead", count)
    begun_s = monotonic()
    world.relay()
    eventually(lambda: len(attempts) == 4)
    assert monotonic() - begun_s >= 3 * 0.75 * module.TRY_S
