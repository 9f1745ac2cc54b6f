"""PostgreSQL in trouble: every call ends typed and in time, values stay, and what was written is written once."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
import redis
from psycopg import conninfo

import hotconfig
from hotconfig import HotConfig, State, Timing
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.connect import ADDRESS_TIMEOUT_S, CONNECT_TIMEOUT_S, open_session
from hotconfig.postgres.migrate import migrate
from tests.integration.settings import BY, AISettings, Recorder, publish, write_by_hand
from tests.support.databases import FAST
from tests.support.desks import Desk
from tests.support.pgbouncer import pooled
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import eventually

QUICK = Timing(reconcile_s=0.1, poll_s=0.1)
NEVER_POLL = Timing(reconcile_s=600, poll_s=600)
LONG_S = 30.0
WRITE_BOUND_S = 21.0
"""Twice connecting, twice one answer, and a second."""


@pytest.fixture
def desk(migrated_url: str) -> Generator[Desk]:
    made = Desk(migrated_url)
    yield made
    made.close()


@pytest.fixture
def silent_redis() -> Generator[str]:
    """The URL of a port at which nobody listens, kept from being taken."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{bound.getsockname()[1]}/0"


def refused(client: HotConfig, error: type[hotconfig.HotConfigError], match: str, *, within_s: float) -> None:
    """A write fails with this error, in time."""
    begun_s = time.monotonic()
    with pytest.raises(error, match=match):
        client.store.set(AISettings, threshold=0.01, by=BY)
    assert time.monotonic() - begun_s < within_s


# Between commit and publish ----------------------------------------------------------------------------------

DIES_BEFORE_PUBLISHING = """
import os, sys
import hotconfig
from hotconfig.redis.publish import RedisAnnouncer
from tests.integration.settings import AISettings

RedisAnnouncer.announce = lambda *_: os._exit(9)
with hotconfig.HotConfig(*sys.argv[1:]) as client:
    client.bind(AISettings)
    client.store.set(AISettings, threshold=0.9, by="ann")
"""


def test_a_writer_that_dies_between_commit_and_publish_has_written(desk: Desk, redis_url: str) -> None:
    with HotConfig(desk.url, redis_url, timing=Timing(reconcile_s=0.5)) as client:
        ai = client.bind(AISettings)
        program = [sys.executable, "-c", DIES_BEFORE_PUBLISHING, desk.url, redis_url]
        assert subprocess.run(program, timeout=60, check=False).returncode == 9
        assert desk.revision() == 1
        eventually(lambda: ai.threshold == 0.9, LONG_S)  # found by comparing: nobody announced it


def test_a_publish_that_fails_is_told_and_readers_find_the_commit(
    desk: Desk, redis_url: str, silent_redis: str
) -> None:
    with (
        HotConfig(desk.url, redis_url, timing=Timing(reconcile_s=0.5)) as reader,
        HotConfig(desk.url, silent_redis) as writer,
    ):
        ai, told = reader.bind(AISettings), Recorder[AISettings]()
        writer.bind(AISettings)
        reader.on_change(ai, told)
        commit = writer.store.set(AISettings, threshold=0.9, by=BY)
        assert (commit.changed, commit.announced) == (True, False)
        reader.wait_for(commit, LONG_S)
        assert [change.new.threshold for change in told.wait(1)] == [0.9]


@pytest.mark.parametrize("then", ["commit", "rollback"])
def test_what_was_published_too_early_is_shown_when_it_is_true(desk: Desk, redis_url: str, then: str) -> None:
    """A foreign program that publishes before it commits."""
    write_by_hand(desk.url, "ai", threshold="0.8")
    with HotConfig(desk.url, redis_url, timing=Timing(reconcile_s=0.5)) as client:
        ai, told = client.bind(AISettings), Recorder[AISettings]()
        client.on_change(ai, told)
        eventually(lambda: client.status().state is State.READY, LONG_S)
        with psycopg.connect(desk.url) as other:
            other.execute("UPDATE hotconfig.service_configs SET value = '0.9' WHERE key = 'threshold'")
            reads = client.status().counters["reads"]
            publish(redis_url, "config:ai:threshold", "0.9")
            eventually(lambda: client.status().counters["reads"] != reads, LONG_S)
            assert ai.threshold == 0.8
            getattr(other, then)()
        if then == "commit":
            eventually(lambda: ai.threshold == 0.9, LONG_S)
        else:
            desk.run("UPDATE hotconfig.service_configs SET value = '0.7' WHERE key = 'threshold'")
            eventually(lambda: ai.threshold == 0.7, LONG_S)
        assert [change.new.threshold for change in told.wait(1)] == [0.9 if then == "commit" else 0.7]


# Outcome unknown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way_in", ["direct", "through PgBouncer"])
@pytest.mark.parametrize("cut", list(Cut))
def test_a_write_whose_connection_is_cut_at_commit_is_made_exactly_once(desk: Desk, cut: Cut, way_in: str) -> None:
    with ExitStack() as stack:
        url = desk.url if way_in == "direct" else stack.enter_context(pooled(desk.url))
        way = stack.enter_context(Proxy(url))
        # The reader has a way of its own, so that the cut meets the write.
        client = stack.enter_context(HotConfig(desk.url, timing=QUICK))
        writer = stack.enter_context(HotConfig(way.url, timing=NEVER_POLL, listen=False))
        writer.bind(AISettings)
        eventually(lambda: len(desk.archive.schemas("ai")) == 1, LONG_S)  # the last that it does unasked
        ai, told = client.bind(AISettings), Recorder[AISettings]()
        client.on_change(ai, told)
        client.wait_for(writer.store.set(AISettings, threshold=0.1, by=BY), LONG_S)  # connects
        for number in range(2, 6):
            way.cut_next(cut)
            commit = writer.store.set(AISettings, threshold=number / 10, by=BY)
            assert way.cut_done.wait(LONG_S)
            assert (commit.changed, commit.revision) == (True, number)
            client.wait_for(commit, LONG_S)
        assert [row[5] for row in desk.told()] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
        assert [change.new.threshold for change in told.wait(5)] == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_write_whose_outcome_cannot_be_learnt_says_so_and_what_to_look_for(desk: Desk) -> None:
    with Proxy(desk.url) as way, HotConfig(way.url, timing=NEVER_POLL, listen=False) as client:
        client.bind(AISettings)
        client.store.set(AISettings, threshold=0.5, by=BY)
        way.cut_next(Cut.AFTER_ANSWER, then_refuse=True)
        begun_s = time.monotonic()
        with pytest.raises(hotconfig.OutcomeUnknownError) as caught:
            client.store.set(AISettings, threshold=0.9, by=BY)
        assert time.monotonic() - begun_s < WRITE_BOUND_S
        (row,) = desk.run("SELECT commit_id::text FROM hotconfig.config_history WHERE revision = 2")
        assert row[0] in str(caught.value)  # it was made after all, and can be found


# Killed, restarted, in recovery ------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_every_crash(own_postgres: EmbeddedPostgres, redis_url: str) -> None:
    migrate(own_postgres.url)
    acknowledged: list[int] = []
    stop = threading.Event()
    with HotConfig(own_postgres.url, redis_url, timing=QUICK) as client:
        ai = client.bind(AISettings)
        revisions: list[int] = []
        client.on_change(ai, lambda change: revisions.append(change.revision))

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1  # never the same value twice: what changes nothing is acknowledged with a known revision
                with contextlib.suppress(hotconfig.RetryableError):
                    commit = client.store.set(ai, threshold=number / 1_000_000, by=BY)
                    assert commit.changed
                    acknowledged.append(commit.revision)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(2):
                count = len(acknowledged)
                eventually(lambda count=count: len(acknowledged) > count + 20, LONG_S)  # type: ignore[misc]
                own_postgres.kill()
                own_postgres.restart()
        finally:
            stop.set()
            writer.join(WRITE_BOUND_S)
        desk = Desk(own_postgres.url)
        assert desk.broken() is None
        assert desk.revision() >= acknowledged[-1]
        assert acknowledged == sorted(set(acknowledged))
        eventually(lambda: client.status().services["ai"].revision == desk.revision(), LONG_S)
        assert revisions == sorted(revisions)
        assert client.status().counters["rewinds"] == 0
        desk.close()


def test_a_server_set_to_read_only_refuses_typed_and_at_once(own_postgres: EmbeddedPostgres) -> None:
    migrate(own_postgres.url)
    desk = Desk(own_postgres.url)
    with HotConfig(own_postgres.url, timing=QUICK) as client:
        ai = client.bind(AISettings)
        for switch, working in (("on", False), ("off", True)):
            desk.run(f"ALTER SYSTEM SET default_transaction_read_only = {switch}")
            desk.run("SELECT pg_reload_conf()")
            eventually(lambda working=working: _written(client, 0.5) is working, LONG_S)  # type: ignore[misc]
            if not working:
                refused(client, hotconfig.DatabaseUnavailableError, "only reads", within_s=2.0)
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY), LONG_S)
        assert ai.threshold == 0.9
    desk.close()


def _written(client: HotConfig, threshold: float) -> bool:
    try:
        client.store.set(AISettings, threshold=threshold, by=BY)
    except hotconfig.RetryableError:
        return False
    return True


# Full, locked, slow ------------------------------------------------------------------------------------------


def test_too_many_connections_fail_at_once_and_followers_go_on() -> None:
    server = EmbeddedPostgres(settings={**FAST, "max_connections": "12", "superuser_reserved_connections": "0"})
    server.start()
    try:
        migrate(server.url)
        with ExitStack() as stack:
            desk = Desk(server.url)
            stack.callback(desk.close)
            client = stack.enter_context(HotConfig(server.url, timing=QUICK))
            ai = client.bind(AISettings)
            eventually(lambda: client.status().counters["connections"] == 1, LONG_S)
            others = _take_all(server.url)
            refused(client, hotconfig.DatabaseUnavailableError, "too many clients|connection slots", within_s=3.0)
            late = HotConfig(server.url)
            begun_s = time.monotonic()
            with pytest.raises(hotconfig.DatabaseUnavailableError, match=r"too many clients|connection slots"):
                late.start(timeout=1.0)
            late.close()
            assert time.monotonic() - begun_s < 5.0
            desk.put(threshold="0.9")
            eventually(lambda: ai.threshold == 0.9, LONG_S)  # who is connected stays connected
            for other in others:
                other.close()
            eventually(lambda: _written(client, 0.5), LONG_S)
    finally:
        server.stop()


def _take_all(url: str) -> list[psycopg.Connection[Any]]:
    taken: list[psycopg.Connection[Any]] = []
    with contextlib.suppress(psycopg.OperationalError):
        while len(taken) < 100:
            taken.append(psycopg.connect(url))
    return taken


def test_a_locked_head_delays_writers_within_their_bound_and_readers_not_at_all(desk: Desk, redis_url: str) -> None:
    desk.put(threshold="0.8")
    with HotConfig(desk.url, redis_url, timing=QUICK) as client, psycopg.connect(desk.url) as other:
        ai = client.bind(AISettings)
        other.execute("UPDATE hotconfig.service_configs SET value = '0.7'")
        reads = client.status().counters["reads"]
        refused(client, hotconfig.DatabaseUnavailableError, "statement timeout", within_s=8.0)
        assert client.status().counters["reads"] != reads
        assert ai.threshold == 0.8
        other.commit()
        commit = client.store.set(ai, threshold=0.9, by=BY)
        client.wait_for(commit, LONG_S)
        assert commit.revision == 3
        assert desk.broken() is None


def test_a_full_disk_fails_typed_and_leaves_nothing_half_written(desk: Desk) -> None:
    """Simulated: PostgreSQL says of the history table what it says when the disk under it is full."""
    desk.put(threshold="0.8")
    desk.run(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
    )
    desk.run("CREATE TRIGGER no_room BEFORE INSERT ON hotconfig.config_history FOR EACH ROW EXECUTE FUNCTION no_room()")
    with HotConfig(desk.url, timing=QUICK) as client:
        ai = client.bind(AISettings)
        for _ in range(3):
            refused(client, hotconfig.DatabaseUnavailableError, "No space left on device", within_s=3.0)
        assert (ai.threshold, desk.revision(), desk.broken()) == (0.8, 1, None)
        desk.run("DROP TRIGGER no_room ON hotconfig.config_history")
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY), LONG_S)
        assert desk.revision() == 2


@pytest.mark.parametrize("way_in", ["direct", "through PgBouncer"])
def test_a_statement_timeout_holds_in_every_session(desk: Desk, way_in: str) -> None:
    with ExitStack() as stack:
        url = desk.url if way_in == "direct" else stack.enter_context(pooled(desk.url))
        session = stack.enter_context(open_session(url, application_name="test"))
        begun_s = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            session.execute("SELECT pg_sleep(%s)", [10])
        assert time.monotonic() - begun_s < 5.5
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_the_statement_timeout_of_the_url_wins(desk: Desk) -> None:
    url = conninfo.make_conninfo(desk.url, options="-c statement_timeout=1234")
    with open_session(url, application_name="test") as session:
        assert session.execute("SHOW statement_timeout").fetchone() == ("1234ms",)
        assert not session.pooled


# Bounds of connecting ----------------------------------------------------------------------------------------


@pytest.fixture
def deaf() -> Generator[list[str]]:
    """Addresses that accept connections and never say a word."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        yield [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_connecting_to_servers_that_say_nothing_ends_within_one_bound_for_all(deaf: list[str], count: int) -> None:
    begun_s = time.monotonic()
    with pytest.raises(hotconfig.DatabaseUnavailableError, match="timeout"):
        open_session(f"postgresql://ann:pw@{','.join(deaf[:count])}/x", application_name="test")
    assert time.monotonic() - begun_s < max(CONNECT_TIMEOUT_S, ADDRESS_TIMEOUT_S * count) + 2.0


def test_a_server_behind_deaf_ones_is_found(deaf: list[str], migrated_url: str) -> None:
    parts = conninfo.conninfo_to_dict(migrated_url)
    hosts = ",".join([*deaf[:2], f"{parts['host']}:{parts['port']}"])
    url = f"postgresql://{parts['user']}:{parts['password']}@{hosts}/{parts['dbname']}"
    with HotConfig(url, timing=QUICK) as client:
        client.bind(AISettings)
        begun_s = time.monotonic()
        assert client.store.set(AISettings, threshold=0.9, by=BY).changed
        assert time.monotonic() - begun_s < 2 * ADDRESS_TIMEOUT_S + 3.0


# Deleted and made again --------------------------------------------------------------------------------------


def test_late_messages_do_not_bring_a_deleted_key_back(desk: Desk, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as bystander, HotConfig(desk.url, redis_url, timing=QUICK) as client:
        recording = bystander.pubsub()
        recording.psubscribe("config:*")
        ai, told = client.bind(AISettings), Recorder[AISettings]()
        client.on_change(ai, told)
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY), LONG_S)
        old = _recorded(recording)
        client.wait_for(client.store.delete(ai, "threshold", by=BY), LONG_S)
        old += _recorded(recording)

        _say_again(client, bystander, old)
        assert ai.threshold == 0.75
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY), LONG_S)
        _say_again(client, bystander, old)
        assert ai.threshold == 0.8
        assert [change.new.threshold for change in told.wait(3)] == [0.9, 0.75, 0.8]
        assert [row[2] for row in desk.told()] == ["insert", "delete", "insert"]
        recording.close()


def _recorded(recording: Any) -> list[tuple[bytes, bytes]]:
    """What came in, the signed change set and the plain form of one commit."""
    found: list[tuple[bytes, bytes]] = []

    def both() -> bool:
        message = recording.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message:
            found.append((message["channel"], message["data"]))
        return len(found) == 2

    eventually(both, LONG_S)
    return found


def _say_again(client: HotConfig, bystander: redis.Redis, messages: list[tuple[bytes, bytes]]) -> None:
    """Publish, and wait until the client has heard it all and has read PostgreSQL since."""
    before: Any = client.status().counters
    for channel, data in messages:
        bystander.publish(channel, data)

    def after(name: str, count: int) -> bool:
        now: Any = client.status().counters
        return bool(now[name] >= before[name] + count)

    eventually(lambda: after("messages", len(messages)), LONG_S)
    before = client.status().counters
    eventually(lambda: after("reads", 2), LONG_S)
