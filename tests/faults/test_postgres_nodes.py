"""PostgreSQL on several nodes: standbys that lag, promotion, failover that loses commits, restored backups."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import hotconfig
from hotconfig import HotConfig, State, Timing
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.migrate import migrate
from hotconfig.postgres.relayed import PostgresRelaySession, find_leader
from tests.integration.settings import BY, AISettings, LimitSettings, Recorder, write_by_hand
from tests.support.nodes import Copy, Primary, ask, copied, together
from tests.support.proxy import Proxy
from tests.support.servers import postgres_15_binaries
from tests.support.waiting import eventually

logger = logging.getLogger(__name__)

QUICK = Timing(reconcile_s=0.1, poll_s=0.1)
NEVER_POLL = Timing(reconcile_s=600, poll_s=600)
LONG_S = 30.0
"""For what takes a second at most, on a machine that does something else."""


@pytest.fixture
def primary() -> Generator[Primary]:
    server = Primary()
    server.start()
    migrate(server.url)
    yield server
    server.stop()


@pytest.fixture
def standby(primary: Primary) -> Generator[Copy]:
    with copied(primary, follows=True) as server:
        server.catch_up()
        yield server


@pytest.fixture(params=["with Redis", "without Redis"])
def maybe_redis(request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("redis_url")) if request.param == "with Redis" else None


def readers_at(server: EmbeddedPostgres) -> object:
    """How many processes read from this server."""
    return ask(server.url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hotconfig reader'")


def cut_off(standby: Copy) -> None:
    """From now on the standby receives nothing."""
    for statement in ("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"):
        with psycopg.connect(standby.url, autocommit=True) as session:
            session.execute(sql.SQL(statement))
    eventually(lambda: ask(standby.url, "SELECT count(*) FROM pg_stat_wal_receiver") == 0, LONG_S)


# Several hosts -----------------------------------------------------------------------------------------------


def test_reads_may_come_from_a_standby_while_writes_find_the_primary(
    primary: Primary, standby: Copy, maybe_redis: str | None
) -> None:
    url = together(standby.url, primary.url, attrs="any")
    with HotConfig(url, maybe_redis, timing=NEVER_POLL) as client:
        ai = client.bind(AISettings)
        commit = client.store.set(ai, threshold=0.9, by=BY)
        client.wait_for(commit, LONG_S)
        assert ai.threshold == 0.9
        eventually(lambda: client.status().state is State.READY, LONG_S)
        # The schema is stored where writing is possible.
        eventually(lambda: ask(primary.url, "SELECT count(*) FROM hotconfig.service_schemas") == 1, LONG_S)
        standby.catch_up()
        assert client.status().last_error is None
    standby.pause()
    write_by_hand(primary.url, "ai", threshold="0.95")
    with HotConfig(url, maybe_redis, timing=NEVER_POLL, listen=False) as client:
        assert client.bind(AISettings).threshold == 0.9, "what the standby shows, not the primary"


def test_without_redis_the_primary_notifies_and_the_standby_is_asked_until_it_knows(
    primary: Primary, standby: Copy
) -> None:
    with HotConfig(together(standby.url, primary.url), timing=NEVER_POLL) as client:
        ai = client.bind(AISettings)
        eventually(lambda: client.status().counters["connections"] == 1, LONG_S)  # LISTEN stands
        for threshold in (0.8, 0.9):
            standby.pause()
            write_by_hand(primary.url, "ai", threshold=str(threshold))
            reads = client.status().counters["reads"]
            eventually(lambda reads=reads: client.status().counters["reads"] != reads, LONG_S)  # type: ignore[misc]
            standby.resume()
            eventually(lambda threshold=threshold: ai.threshold == threshold, LONG_S)  # type: ignore[misc]
        assert readers_at(standby) == 1


def test_a_standby_alone_is_followed_by_polling_and_refuses_to_write(primary: Primary, standby: Copy) -> None:
    with HotConfig(standby.url, timing=Timing(poll_s=0.1, stale_after_s=1.0)) as client:
        ai = client.bind(AISettings)
        for threshold in (0.8, 0.9):
            write_by_hand(primary.url, "ai", threshold=str(threshold))
            eventually(lambda threshold=threshold: ai.threshold == threshold, LONG_S)  # type: ignore[misc]
        eventually(lambda: client.status().state is State.READY, LONG_S)
        begun_s = time.monotonic()
        with pytest.raises(hotconfig.DatabaseUnavailableError, match="only reads: it is a standby"):
            client.store.set(ai, threshold=0.1, by=BY)
        assert time.monotonic() - begun_s < 5.0

        primary.kill()  # what a standby shows that has lost its primary is confirmed by nobody
        eventually(lambda: client.status().state is State.STALE, LONG_S)
        assert ai.threshold == 0.9


def test_the_command_line_reads_at_the_standby_and_writes_at_the_primary(primary: Primary, standby: Copy) -> None:
    environment = {**os.environ, "HOTCONFIG_DATABASE_URL": together(standby.url, primary.url)}

    def run(*arguments: str) -> str:
        program = [sys.executable, "-m", "hotconfig", *arguments]
        return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=100, check=True).stdout

    run("set", "ai", "threshold=0.9", "--create")
    eventually(lambda: run("get", "ai", "threshold").strip() == "0.9", LONG_S)
    assert '"this is a standby"' in run("doctor", "--json")
    run("migrate")


def test_the_relay_takes_its_role_at_the_primary(primary: Primary, standby: Copy) -> None:
    url = together(standby.url, primary.url)
    with closing(PostgresRelaySession.open(url, "hotconfig")) as session:
        assert session.try_lead()
        assert find_leader(primary.url, "hotconfig") == find_leader(url, "hotconfig") is not None
        write_by_hand(primary.url, "ai", threshold="0.9")
        eventually(session.receive, LONG_S)


def test_listen_at_a_standby_is_refused_typed(standby: Copy) -> None:
    from hotconfig.postgres.listen import PostgresListener

    with pytest.raises(hotconfig.ConfigurationError, match="is a standby, where LISTEN does not work"):
        PostgresListener.open(standby.url, "hotconfig")


# Lag ---------------------------------------------------------------------------------------------------------


def test_a_frozen_standby_never_takes_a_reader_backwards(primary: Primary, standby: Copy, redis_url: str) -> None:
    with HotConfig(standby.url, redis_url, timing=QUICK) as client, HotConfig(primary.url, redis_url) as writer:
        ai, told = client.bind(AISettings), Recorder[AISettings]()
        client.on_change(ai, told)
        writer.bind(AISettings)
        standby.pause()
        commits = [writer.store.set(AISettings, threshold=x, by=BY) for x in (0.8, 0.9)]
        client.wait_for(commits[-1], LONG_S)
        reads = client.status().counters["reads"]
        assert isinstance(reads, int)
        for count in range(1, 11):
            eventually(lambda count=count: client.status().counters["reads"] >= reads + count, LONG_S)  # type: ignore[misc]
            assert (ai.threshold, client.status().services["ai"].revision) == (0.9, commits[-1].revision)
        standby.resume()
        standby.catch_up()
        client.wait_for(writer.store.set(AISettings, threshold=0.95, by=BY), LONG_S)
        eventually(lambda: told.changes[-1].new.threshold == 0.95, LONG_S)
        seen = [change.new.threshold for change in told.changes]
        assert seen == sorted(seen)
        assert client.status().counters["rewinds"] == 0


def test_a_reader_that_moves_to_a_lagging_standby_keeps_its_values_until_that_has_caught_up(
    primary: Primary, standby: Copy
) -> None:
    with (
        Proxy(primary.url) as way,
        HotConfig(
            together(way.url, standby.url), timing=Timing(reconcile_s=0.1, poll_s=0.1, stale_after_s=1.0), listen=False
        ) as client,
    ):
        ai = client.bind(AISettings)
        standby.pause()
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY), LONG_S)
        way.refusing = True
        way.cut_all()
        eventually(lambda: readers_at(standby) == 1, LONG_S)
        eventually(lambda: client.status().state is State.STALE, LONG_S)  # behind: it confirms nothing
        assert ai.threshold == 0.9
        standby.resume()
        eventually(lambda: client.status().state is State.READY, LONG_S)
        assert (ai.threshold, client.status().counters["rewinds"]) == (0.9, 0)
        write_by_hand(primary.url, "ai", threshold="0.95")
        eventually(lambda: ai.threshold == 0.95, LONG_S)


def test_a_write_that_is_validated_against_other_keys_waits_for_the_standby(primary: Primary, standby: Copy) -> None:
    with HotConfig(together(standby.url, primary.url), timing=NEVER_POLL, listen=False) as client:
        limits = client.bind(LimitSettings)
        for low in (2, 3, 4):
            write_by_hand(primary.url, "limits", low=str(low))
            commit = client.store.set(limits, high=low + 1, by=BY)
            client.wait_for(commit, LONG_S)
            assert (limits.low, limits.high) == (low, low + 1)
        write_by_hand(primary.url, "limits", low="9", high="99")
        with pytest.raises(hotconfig.InvalidValueError, match="low must not exceed high"):
            client.store.set(limits, high=8, by=BY)


# Failover ----------------------------------------------------------------------------------------------------


def test_after_a_promotion_everything_goes_on_forwards(
    primary: Primary, standby: Copy, maybe_redis: str | None
) -> None:
    with HotConfig(together(primary.url, standby.url), maybe_redis, timing=QUICK) as client:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY), LONG_S)
        standby.catch_up()
        primary.kill()
        standby.promote()
        commit = client.store.set(ai, threshold=0.9, by=BY)
        client.wait_for(commit, LONG_S)
        assert commit.revision == 2
        write_by_hand(standby.url, "ai", threshold="0.95")
        eventually(lambda: ai.threshold == 0.95, LONG_S)
        eventually(lambda: client.status().state is State.READY, LONG_S)
        assert client.status().counters["rewinds"] == 0


def test_between_failure_and_promotion_a_write_fails_typed_and_bounded(primary: Primary, standby: Copy) -> None:
    with HotConfig(together(primary.url, standby.url), timing=QUICK) as client:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY), LONG_S)
        standby.catch_up()
        primary.kill()
        begun_s = time.monotonic()
        with pytest.raises(hotconfig.DatabaseUnavailableError, match=rf"{primary.port}.*{standby.port}"):
            client.store.set(ai, threshold=0.9, by=BY)
        assert time.monotonic() - begun_s < 6.0
        assert ai.threshold == 0.8
        eventually(lambda: readers_at(standby) == 1, LONG_S)  # reading goes on


def test_commits_that_a_failover_lost_are_taken_back_loudly(
    primary: Primary,
    standby: Copy,
    maybe_redis: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with HotConfig(together(primary.url, standby.url), maybe_redis, timing=QUICK) as client:
        ai, told = client.bind(AISettings), Recorder[AISettings]()
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY), LONG_S)
        standby.catch_up()
        cut_off(standby)
        client.wait_for(client.store.update(ai, {"threshold": 0.9, "model": "lost"}, by=BY), LONG_S)
        client.on_change(ai, told)
        primary.kill()
        promoting_s = time.monotonic()
        standby.promote()
        (change,) = told.wait(1)
        logger.info("lost commits noticed %.2f s after the promotion began", time.monotonic() - promoting_s)
        assert (change.rewound, change.old.threshold, change.new.threshold, change.new.model) == (
            True, 0.9, 0.8, "gpt-4",
        )  # fmt: skip
        assert client.status().services["ai"].revision == 1
        assert client.status().counters["rewinds"] == 1
        (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert "does not know revision 2@" in said.getMessage()

        commit = client.store.set(ai, threshold=0.95, by=BY)  # another revision 2
        client.wait_for(commit, LONG_S)
        assert (commit.revision, told.wait(2)[-1].rewound) == (2, False)


def test_a_standby_of_the_new_primary_also_shows_that_commits_were_lost(primary: Primary) -> None:
    """Although a standby may be behind: not one that has the revision, under another digest."""
    with copied(primary) as branch:
        for server, model in ((primary, "lost"), (branch, "kept")):
            migrate(server.url)
            write_by_hand(server.url, "ai", threshold="0.8")
            write_by_hand(server.url, "ai", model=model)
        with (
            copied(branch, follows=True) as standby,
            Proxy(primary.url) as way,
            HotConfig(way.url, timing=QUICK, listen=False) as client,
        ):
            ai = client.bind(AISettings)
            assert ai.model == "lost"
            way.lead_to(standby.url)
            way.cut_all()
            eventually(lambda: ai.model == "kept", LONG_S)
            assert client.status().counters["rewinds"] == 1


def test_an_address_that_moves_is_followed(primary: Primary, standby: Copy, maybe_redis: str | None) -> None:
    """A new DNS entry, a virtual address: the name stays, the server is another."""
    with Proxy(primary.url) as way, HotConfig(way.url, maybe_redis, timing=QUICK) as client:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY), LONG_S)
        standby.catch_up()
        primary.halt()
        standby.promote()
        way.lead_to(standby.url)
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY), LONG_S)
        write_by_hand(standby.url, "ai", threshold="0.95")
        eventually(lambda: ai.threshold == 0.95, LONG_S)


def test_a_demoted_server_fails_one_write_and_the_next_finds_the_new_primary(primary: Primary, standby: Copy) -> None:
    with HotConfig(together(primary.url, standby.url), timing=QUICK) as client:
        ai = client.bind(AISettings)
        _write_from_threads(client, 4)  # several idle connections to the server that is about to be demoted
        standby.catch_up()
        standby.promote()
        ask(primary.url, "SELECT 1")
        with psycopg.connect(primary.url, autocommit=True) as session:
            session.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            session.execute("SELECT pg_reload_conf()")
        eventually(lambda: ask(primary.url, "SHOW default_transaction_read_only") == "on", LONG_S)
        with pytest.raises(hotconfig.DatabaseUnavailableError, match="only reads"):
            _write_until_refused(client)
        commit = client.store.set(ai, threshold=0.9, by=BY)
        assert ask(standby.url, "SELECT revision FROM hotconfig.heads") == commit.revision


def _write_until_refused(client: HotConfig) -> None:
    """A server process notices the reloaded configuration after a moment."""
    for number in range(1000):
        client.store.set(AISettings, threshold=number / 1000, by=BY)


def _write_from_threads(client: HotConfig, count: int) -> None:
    barrier = threading.Barrier(count)

    def write(number: int) -> None:
        barrier.wait(LONG_S)
        client.store.set(AISettings, threshold=number / 10, by=BY)

    threads = [threading.Thread(target=write, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)


# Restore -----------------------------------------------------------------------------------------------------


def test_an_older_base_backup_behind_the_same_address_is_noticed(primary: Primary, maybe_redis: str | None) -> None:
    write_by_hand(primary.url, "ai", threshold="0.8")
    with copied(primary) as backup, Proxy(primary.url) as way, HotConfig(way.url, maybe_redis, timing=QUICK) as client:
        ai, told = client.bind(AISettings), Recorder[AISettings]()
        for threshold in (0.9, 0.95):
            client.wait_for(client.store.set(ai, threshold=threshold, by=BY), LONG_S)
        client.on_change(ai, told)
        primary.halt()
        way.lead_to(backup.url)
        (change,) = told.wait(1)
        assert (change.rewound, change.new.threshold, change.revision) == (True, 0.8, 1)
        client.wait_for(client.store.set(ai, threshold=0.85, by=BY), LONG_S)
        assert client.status().counters["rewinds"] == 1


def test_a_restored_data_directory_is_noticed(primary: Primary) -> None:
    write_by_hand(primary.url, "ai", threshold="0.8")
    data = primary.run_directory / "data"
    primary.halt()
    subprocess.run(["cp", "-a", data, data.with_name("saved")], check=True)
    primary.restart()
    with HotConfig(primary.url, timing=QUICK) as client:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY), LONG_S)
        primary.halt()
        shutil.rmtree(data)
        data.with_name("saved").rename(data)
        assert ai.threshold == 0.9
        primary.restart()
        eventually(lambda: ai.threshold == 0.8, LONG_S)
        assert client.status().counters["rewinds"] == 1


def test_a_restored_dump_is_noticed(primary: Primary, tmp_path: Path) -> None:
    write_by_hand(primary.url, "ai", threshold="0.8")
    dump = tmp_path / "dump.sql"
    subprocess.run([postgres_15_binaries() / "pg_dump", "--dbname", primary.url, "--file", dump], check=True)
    with HotConfig(primary.url, timing=QUICK) as client:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY), LONG_S)
        with psycopg.connect(primary.url_of("postgres"), autocommit=True) as session:
            session.execute("DROP DATABASE hotconfig WITH (FORCE)")
            session.execute("CREATE DATABASE hotconfig")
        psql = [str(postgres_15_binaries() / "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]
        subprocess.run([*psql, "--single-transaction", "--file", dump, primary.url], check=True, capture_output=True)
        eventually(lambda: ai.threshold == 0.8, LONG_S)
        assert client.status().counters["rewinds"] == 1
        client.wait_for(client.store.set(ai, threshold=0.85, by=BY), LONG_S)
