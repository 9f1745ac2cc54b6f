"""The relay on real servers: whoever commits, and however, Redis's subscribers hear of it; two relays harm nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

import hotconfig
from hotconfig import Timing
from hotconfig.core.chain import ChangeSet
from hotconfig.core.wire import decode
from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from hotconfig.postgres.migrate import migrate
from hotconfig.postgres.relayed import FROZEN_AFTER_MS, PostgresRelaySession
from hotconfig.runtime.relay import BEAT_S, Relay, Role, Told
from hotconfig.runtime.wiring import Wiring
from tests.integration.settings import (
    BY,
    CANARY,
    AISettings,
    ClientFactory,
    Recorder,
    VaultSettings,
    named_threads,
    query,
    write_by_hand,
)
from tests.support import waiting
from tests.support.servers import freeze, thaw
from tests.support.waiting import Eventually, T

NEVER_LOOK = Timing(reconcile_s=600, poll_s=600)
"""Nobody compares with PostgreSQL: what is seen came by Redis."""
PROGRAM = Path(__file__).parent / "programs" / "relaying.py"


def patiently(predicate: Callable[[], T], timeout_s: float = 20.0, *, message: str = "") -> T:
    """As all tests wait, but longer: processes have to start, servers to come back."""
    return waiting.eventually(predicate, timeout_s, message=message)


@pytest.fixture(name="eventually")
def _patiently() -> Eventually:
    return patiently


class Running:
    """A relay without a client, and what it told."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.told: list[Told] = []
        self.relay: Relay = Wiring(database_url, redis_url, "hotconfig", subscribe_all=False, listen=False).relay(
            self.told.append
        )

    def start(self) -> Running:
        self.relay.start()
        return self

    def leading(self, timeout_s: float = 10.0) -> Running:
        patiently(lambda: self.relay.role is Role.LEADING, timeout_s, message="it leads")
        return self

    def announced(self) -> list[tuple[str | None, int | None]]:
        return [(told.service, told.revision) for told in self.told if told.event == "announced"]

    def stop(self) -> None:
        self.relay.stop()
        assert self.relay.join(15)


class StartRelay:
    """The type of the fixture ``start_relay``."""

    def __init__(self, stack: ExitStack, database_url: str, redis_url: str) -> None:
        self._stack, self._database_url, self._redis_url = stack, database_url, redis_url

    def __call__(self, database_url: str | None = None, redis_url: str | None = None) -> Running:
        running = Running(database_url or self._database_url, redis_url or self._redis_url).start()
        self._stack.callback(running.stop)
        return running


@pytest.fixture
def start_relay(migrated_url: str, redis_url: str) -> Generator[StartRelay]:
    with ExitStack() as stack:
        yield StartRelay(stack, migrated_url, redis_url)


class Ear:
    """What a stranger hears in Redis: every message, in order."""

    def __init__(self, redis_url: str) -> None:
        self.client = redis.Redis.from_url(redis_url)
        self.pubsub: Any = self.client.pubsub()  # type: ignore[no-untyped-call]
        self.pubsub.psubscribe("config:*")
        self.heard: list[tuple[bytes, bytes]] = []
        patiently(self._confirmed)

    def _confirmed(self) -> bool:
        message = self.pubsub.get_message(timeout=0)
        return message is not None and message["type"] == "psubscribe"

    def listen(self) -> list[tuple[bytes, bytes]]:
        while (message := self.pubsub.get_message(ignore_subscribe_messages=True, timeout=0)) is not None:
            self.heard.append((message["channel"], message["data"]))
        return self.heard

    def close(self) -> None:
        self.pubsub.close()
        self.client.close()


@pytest.fixture
def ear(redis_url: str) -> Generator[Ear]:
    made = Ear(redis_url)
    yield made
    made.close()


@contextmanager
def other_process(*arguments: str, database_url: str, redis_url: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program beside this file, which says a line for each thing that happens to it."""
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": database_url,
        "HOTCONFIG_REDIS_URL": redis_url,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# What is relayed ---------------------------------------------------------------------------------------------


def test_a_hand_written_update_is_seen_at_once(
    start_client: ClientFactory, start_relay: StartRelay, migrated_url: str, eventually: Eventually
) -> None:
    start_relay().leading()
    client = start_client(timing=NEVER_LOOK)
    ai = client.bind(AISettings)
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    eventually(lambda: client.status().redis == "connected")
    reads = client.status().counters["reads"]
    for threshold in (0.5, 0.6, 0.7):
        write_by_hand(migrated_url, "ai", threshold=str(threshold))
        eventually(lambda threshold=threshold: ai.threshold == threshold)  # type: ignore[misc]
    assert [change.new.threshold for change in told.wait(3)] == [0.5, 0.6, 0.7]
    assert client.status().counters["reads"] == reads, "signed change sets need no read"


def test_a_client_is_the_relay_when_told_to(
    start_client: ClientFactory, migrated_url: str, eventually: Eventually
) -> None:
    client = start_client(timing=NEVER_LOOK, relay=True)
    ai = client.bind(AISettings)
    assert client.status().relay == "leading"
    assert "hotconfig-relay" in named_threads()
    eventually(lambda: client.status().redis == "connected")
    write_by_hand(migrated_url, "ai", threshold="0.5")
    eventually(lambda: ai.threshold == 0.5)
    assert client.status().counters["relay_announced"] == 1
    client.close()
    assert client.status().relay == "off"
    assert "hotconfig-relay" not in named_threads()


def test_a_relay_is_asked_for_by_the_environment(
    migrated_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", migrated_url)
    monkeypatch.setenv("HOTCONFIG_REDIS_URL", redis_url)
    with hotconfig.HotConfig.from_env() as client:
        assert client.status().relay == "off"
    monkeypatch.setenv("HOTCONFIG_RELAY", "true")
    with hotconfig.HotConfig.from_env() as client:
        assert client.status().relay == "leading"


def test_a_commit_whose_writer_died_before_announcing_it_is_announced(
    start_client: ClientFactory, start_relay: StartRelay, migrated_url: str, redis_url: str, eventually: Eventually
) -> None:
    start_relay().leading()
    client = start_client(timing=NEVER_LOOK)
    ai = client.bind(AISettings)
    eventually(lambda: client.status().redis == "connected")
    with other_process("die", database_url=migrated_url, redis_url=redis_url) as process:
        assert process.wait(60) == 9
    eventually(lambda: ai.threshold == 0.25)


def test_what_the_writer_announces_itself_is_not_announced_again(
    start_client: ClientFactory, start_relay: StartRelay, eventually: Eventually
) -> None:
    relay = start_relay().leading()
    writer = start_client()
    ai = writer.bind(AISettings)
    eventually(lambda: relay.relay._ear.hearing)
    for number in range(50):
        writer.store.set(ai, threshold=number / 100, by=BY)
    # A commit that is heard of while the relay is reading it already counts twice.
    eventually(lambda: int(str(relay.relay.counted()["relay_skipped"])) + len(relay.announced()) >= 50)
    assert len(relay.announced()) < 25, "a machine under load may be late now and then"


def test_an_update_of_a_thousand_rows_is_one_change_set(
    start_relay: StartRelay, ear: Ear, migrated_url: str, eventually: Eventually
) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute(
            "INSERT INTO hotconfig.service_configs "
            "SELECT 'ai', 'key_' || n, NULL, 'old' FROM generate_series(1, 1000) n"
        )
    relay = start_relay().leading()
    eventually(lambda: relay.announced() == [("ai", 1)])
    with psycopg.connect(migrated_url) as connection:
        connection.execute("UPDATE hotconfig.service_configs SET value = repeat('x', 100)")
    eventually(lambda: len(ear.listen()) == 2002, 20)
    keyring = {1: query(migrated_url, "SELECT secret FROM hotconfig.signing_keys")[0][0]}
    signed = [decode(*message, keyring) for message in ear.heard if message[0].endswith(b"@commits")]
    small, large = signed
    assert isinstance(small, ChangeSet)
    assert isinstance(large, ChangeSet)
    assert small.complete
    assert len(large.changes) == 1000
    assert not large.complete
    assert large.parent == small.head
    assert ear.heard[-1][1] == b"x" * 100


def test_sensitive_values_stay_in_postgresql(
    start_client: ClientFactory, start_relay: StartRelay, ear: Ear, migrated_url: str, eventually: Eventually
) -> None:
    start_relay().leading()
    client = start_client(timing=NEVER_LOOK)
    vault = client.bind(VaultSettings)
    eventually(lambda: client.status().redis == "connected")
    with psycopg.connect(migrated_url) as connection:
        connection.execute(
            "INSERT INTO hotconfig.service_configs VALUES "
            "('vault', 'token_hint', NULL, %s, true), ('vault', 'region', NULL, 'us', false)",
            [CANARY],
        )
    eventually(lambda: (vault.token_hint, vault.region) == (CANARY, "us"))
    with psycopg.connect(migrated_url) as connection:  # not even what is not sensitive any more
        connection.execute("UPDATE hotconfig.service_configs SET sensitive = false")
    eventually(lambda: sum(channel.endswith(b"@commits") for channel, _ in ear.listen()) == 2)
    assert (b"config:vault:region", b"us") in ear.heard
    assert not any(CANARY.encode() in data for _, data in ear.heard)


def test_a_tenants_value_moves_the_head_and_nothing_else(
    start_client: ClientFactory, start_relay: StartRelay, ear: Ear, migrated_url: str, eventually: Eventually
) -> None:
    start_relay().leading()
    client = start_client(timing=NEVER_LOOK)
    ai = client.bind(AISettings)
    eventually(lambda: client.status().redis == "connected")
    with psycopg.connect(migrated_url) as connection:
        connection.execute("INSERT INTO hotconfig.organizations VALUES ('acme', 'Acme', 'a@acme.example')")
        connection.execute(
            "INSERT INTO hotconfig.service_configs VALUES ('ai', 'threshold', 'acme', '0.123')",
        )
    eventually(lambda: client.status().services["ai"].revision == 1)
    assert ai.threshold == 0.75
    assert [channel for channel, _ in ear.listen()] == [b"config:ai:@commits"]
    assert b"0.123" not in ear.heard[0][1]


def test_who_keeps_the_last_plain_text_ends_at_the_newest(
    start_relay: StartRelay, ear: Ear, migrated_url: str, redis_url: str, eventually: Eventually
) -> None:
    write_by_hand(migrated_url, "ai", threshold="0.1")
    relay = start_relay().leading()
    eventually(lambda: relay.relay._ear.hearing)
    write_by_hand(migrated_url, "ai", threshold="0.2")
    eventually(lambda: (b"config:ai:threshold", b"0.2") in ear.listen())
    with redis.Redis.from_url(redis_url) as late:  # a writer that was held up between its commit and this
        for channel, data in ear.heard[: [name for name, _ in ear.heard].index(b"config:ai:threshold") + 1]:
            late.publish(channel.decode(), data)
    eventually(lambda: ear.listen()[-1] == (b"config:ai:threshold", b"0.2") and len(ear.heard) == 8)


# Who relays --------------------------------------------------------------------------------------------------


def test_one_of_several_leads_and_the_next_takes_over_when_it_ends(
    start_relay: StartRelay, start_client: ClientFactory, migrated_url: str, eventually: Eventually
) -> None:
    first = start_relay().leading()
    others = [start_relay(), start_relay()]
    for other in others:
        other.relay.first_attempt(10)
        assert other.relay.role is Role.WAITING
    first.stop()
    eventually(lambda: any(other.relay.role is Role.LEADING for other in others))
    assert sorted(other.relay.role.value for other in others) == ["leading", "waiting"]


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_another_takes_over_from_a_leader_that_is_killed_or_frozen(
    start_client: ClientFactory,
    start_relay: StartRelay,
    migrated_url: str,
    redis_url: str,
    eventually: Eventually,
    stop: signal.Signals,
) -> None:
    client = start_client(timing=NEVER_LOOK)
    ai = client.bind(AISettings)
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    eventually(lambda: client.status().redis == "connected")
    with other_process("lead", database_url=migrated_url, redis_url=redis_url) as leader:
        assert said(leader) == "leading"
        heir = start_relay()
        heir.relay.first_attempt(10)
        assert heir.relay.role is Role.WAITING
        leader.send_signal(stop)
        write_by_hand(migrated_url, "ai", threshold="0.5")  # into the gap between the two
        heir.leading(FROZEN_AFTER_MS / 1000 + 10)
        eventually(lambda: ai.threshold == 0.5)
        leader.send_signal(signal.SIGCONT)  # one that thaws finds that it leads no more
        write_by_hand(migrated_url, "ai", threshold="0.6")
        eventually(lambda: ai.threshold == 0.6)
        if stop is signal.SIGSTOP:
            assert said(leader) == "lost"
    assert [change.new.threshold for change in told.wait(2)] == [0.5, 0.6]


def test_two_that_lead_at_once_harm_nobody(
    start_client: ClientFactory,
    start_relay: StartRelay,
    migrated_url: str,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PostgresRelaySession, "try_lead", lambda _: True)
    relays = [start_relay().leading(), start_relay().leading()]
    client, writer = start_client(timing=NEVER_LOOK), start_client()
    ai, writers = client.bind(AISettings), writer.bind(AISettings)
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    eventually(lambda: client.status().redis == "connected")
    for number in range(1, 21):
        if number % 2:
            write_by_hand(migrated_url, "ai", threshold=f"{number / 100}")
        else:
            writer.store.set(writers, threshold=number / 100, by=BY)
        eventually(lambda number=number: ai.threshold == number / 100)  # type: ignore[misc]
    assert [change.new.threshold for change in told.wait(20)] == [number / 100 for number in range(1, 21)]
    assert client.status().counters["rewinds"] == 0
    assert sum(len(relay.announced()) for relay in relays) >= 10


def test_behind_a_pooler_the_relay_refuses_at_the_start(
    migrated_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)  # a pooler makes one up
    client = hotconfig.HotConfig(migrated_url, redis_url, relay=True)
    with pytest.raises(hotconfig.ConfigurationError, match="behind a connection pooler, where no relay can work"):
        client.start()
    client.close()


def test_without_redis_there_is_nothing_to_relay(migrated_url: str) -> None:
    with pytest.raises(hotconfig.ConfigurationError, match="set HOTCONFIG_REDIS_URL"):
        hotconfig.HotConfig(migrated_url, relay=True).start()


# Servers away ------------------------------------------------------------------------------------------------


def test_what_was_committed_while_redis_was_away_is_announced_when_it_is_back(
    start_relay: StartRelay, own_valkey: EmbeddedValkey, migrated_url: str, eventually: Eventually
) -> None:
    relay = start_relay(redis_url=own_valkey.url).leading()
    own_valkey.kill()
    for threshold in ("0.1", "0.2", "0.3"):
        write_by_hand(migrated_url, "ai", threshold=threshold)
    write_by_hand(migrated_url, "email", max_retries="9")
    own_valkey.restart()
    eventually(lambda: sorted(relay.announced()) == [("ai", 1), ("ai", 2), ("ai", 3), ("email", 1)])
    assert relay.relay.role is Role.LEADING


def test_a_frozen_redis_does_not_cost_the_role(
    start_relay: StartRelay,
    own_valkey: EmbeddedValkey,
    migrated_url: str,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay = start_relay(redis_url=own_valkey.url).leading()
    eventually(lambda: relay.relay._ear.hearing)
    beats: list[object] = []
    beat = PostgresRelaySession.beat

    def count(session: PostgresRelaySession) -> None:
        beats.append(session)
        beat(session)

    monkeypatch.setattr(PostgresRelaySession, "beat", count)
    freeze(own_valkey)
    try:
        write_by_hand(migrated_url, "ai", threshold="0.5")
        eventually(lambda: any(told.event == "redis away" for told in relay.told))
        beats.clear()
        eventually(lambda: len(beats) * BEAT_S > 2 * FROZEN_AFTER_MS / 1000, 60)
    finally:
        thaw(own_valkey)
    eventually(lambda: ("ai", 1) in relay.announced())
    assert "lost" not in [told.event for told in relay.told]


def test_postgresql_that_was_away_is_caught_up_with(
    start_relay: StartRelay, own_postgres: EmbeddedPostgres, eventually: Eventually
) -> None:
    migrate(own_postgres.url)
    relay = start_relay(database_url=own_postgres.url).leading()
    write_by_hand(own_postgres.url, "ai", threshold="0.5")
    eventually(lambda: relay.announced() == [("ai", 1)])
    own_postgres.kill()
    eventually(lambda: relay.relay.role is Role.WAITING)
    own_postgres.restart()
    write_by_hand(own_postgres.url, "ai", threshold="0.6")
    write_by_hand(own_postgres.url, "ai", threshold="0.7")
    eventually(lambda: relay.announced() == [("ai", 1), ("ai", 2), ("ai", 3)])


def test_a_database_that_was_rewound_is_announced_from_where_it_stands(
    start_relay: StartRelay, migrated_url: str, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    for threshold in ("0.1", "0.2"):
        write_by_hand(migrated_url, "ai", threshold=threshold)
    relay = start_relay().leading()
    eventually(lambda: relay.announced() == [("ai", 2)], message="the newest, since it moved lately")
    with psycopg.connect(migrated_url) as connection:  # as if an older backup had been restored, and gone on from
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM hotconfig.config_history WHERE revision = 2")
        connection.execute(
            "UPDATE hotconfig.heads SET revision = 1, xact = '0', ordinal = 1, digest = "
            "(SELECT digest FROM hotconfig.config_history WHERE revision = 1)"
        )
        connection.execute("UPDATE hotconfig.service_configs SET value = '0.1'")
    write_by_hand(migrated_url, "ai", threshold="0.3")
    eventually(lambda: relay.announced()[1:] == [("ai", 2)])
    assert "PostgreSQL does not know revision 2@" in caplog.text


def test_a_forked_child_does_not_inherit_the_role(migrated_url: str, redis_url: str) -> None:
    with other_process("fork", database_url=migrated_url, redis_url=redis_url) as process:
        assert said(process) == "parent leading"
        assert said(process) == "child waiting"
        assert said(process) == "parent leading"
        assert said(process) == "child leading", "once the parent's client was closed"
        assert process.wait(30) == 0


def test_closing_is_quick_whatever_the_relay_does(
    start_client: ClientFactory, own_postgres: EmbeddedPostgres, redis_url: str
) -> None:
    migrate(own_postgres.url)
    client = start_client(own_postgres.url, relay=True)
    assert client.status().relay == "leading"
    freeze(own_postgres)
    try:
        begun_s = time.monotonic()
        client.close(5.0)
        assert time.monotonic() - begun_s < 7.0
    finally:
        thaw(own_postgres)
