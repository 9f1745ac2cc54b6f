"""Behind a real PgBouncer in transaction mode: everything works, and nothing stays set on its connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import psycopg.sql
import pytest

import hotconfig
from hotconfig import HotConfig, State, Timing
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.connect import open_session
from hotconfig.postgres.listen import PostgresListener
from hotconfig.postgres.migrate import migrate, migrations, pending
from tests.integration.settings import BY, AISettings, EmailSettings, write_by_hand
from tests.support.desks import Desk
from tests.support.pgbouncer import pooled
from tests.support.waiting import eventually

QUICK = Timing(reconcile_s=0.1, poll_s=0.1)
NEVER_POLL = Timing(reconcile_s=600, poll_s=600)
LONG_S = 30.0


@pytest.fixture
def pooled_url(migrated_url: str) -> Generator[str]:
    """The same database as ``migrated_url``, through PgBouncer."""
    with pooled(migrated_url) as url:
        yield url


def test_a_pooler_is_recognised_and_a_server_is_not_taken_for_one(migrated_url: str, pooled_url: str) -> None:
    for url, expected in ((migrated_url, False), (pooled_url, True)):
        with open_session(url, application_name="test") as session:
            assert session.pooled is expected
            assert session.execute("SHOW statement_timeout").fetchone() == ("4s",)


def test_tables_are_made_through_the_pooler(database_url: str) -> None:
    with pooled(database_url) as url:
        assert pending(url)
        assert migrate(url)
        assert not pending(url)
        with HotConfig(url) as client:
            assert client.bind(AISettings).threshold == 0.75


def test_programs_migrate_at_once_whatever_isolation_is_preset(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'").format(
                psycopg.sql.Identifier(connection.info.dbname)
            )
        )
    with pooled(database_url) as url, ThreadPoolExecutor(3) as pool:
        applied = sorted(len(made) for made in pool.map(migrate, [url] * 3))
    assert applied == [0, 0, len(migrations())]


def test_what_the_pooler_does_not_take_is_a_mistake_in_the_url(pooled_url: str) -> None:
    with pytest.raises(hotconfig.ConfigurationError, match=r"unsupported startup .*ignore_startup_parameters"):
        open_session(f"{pooled_url} options='-c work_mem=8MB'", application_name="test")


def test_with_redis_nobody_notices_the_pooler(pooled_url: str, redis_url: str) -> None:
    with HotConfig(pooled_url, redis_url, timing=NEVER_POLL) as reader, HotConfig(pooled_url, redis_url) as writer:
        ai = reader.bind(AISettings)
        writer.bind(AISettings)
        for number in range(20):  # more often than psycopg waits before it prepares a statement
            commit = writer.store.update(AISettings, {"threshold": number / 100, "tags": ["it's", '"'] * number}, by=BY)
            assert commit.announced
            reader.wait_for(commit, LONG_S)
            assert (ai.threshold, len(ai.tags)) == (number / 100, 2 * number)
        writer.wait_for(writer.store.delete(AISettings, "tags", by=BY), LONG_S)
        eventually(lambda: ai.tags == [], LONG_S)
        assert reader.status().state is State.READY


def test_without_redis_changes_are_found_by_polling(pooled_url: str, migrated_url: str) -> None:
    with HotConfig(pooled_url, timing=Timing(poll_s=0.1, reconcile_s=600)) as client:
        ai = client.bind(AISettings)
        for threshold in (0.8, 0.9):
            write_by_hand(migrated_url, "ai", threshold=str(threshold))
            eventually(lambda threshold=threshold: ai.threshold == threshold, LONG_S)  # type: ignore[misc]
        client.wait_for(client.store.set(ai, threshold=0.95, by=BY), LONG_S)
        status = client.status()
        assert status.state is State.READY
        assert status.last_error is not None
        assert "behind a connection pooler" in status.last_error


def test_listen_is_refused_typed(pooled_url: str) -> None:
    with pytest.raises(hotconfig.ConfigurationError, match="behind a connection pooler, where LISTEN does not work"):
        PostgresListener.open(pooled_url, "hotconfig")


def test_nothing_stays_on_the_connections_that_others_get_next(migrated_url: str) -> None:
    with pooled(migrated_url, pool_size=1) as url:
        with HotConfig(url, timing=QUICK) as client:
            ai = client.bind(AISettings)
            for number in range(20):
                client.wait_for(client.store.set(ai, threshold=number / 100, by=BY), LONG_S)
        with psycopg.connect(url, prepare_threshold=None) as other:
            looked_at = other.execute(
                "SELECT current_setting('statement_timeout'), current_setting('hotconfig.by', true), "
                "(SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_listening_channels())"
            ).fetchone()
        assert looked_at == ("0", "", 0, 0)


def test_one_connection_of_the_server_is_enough_for_many(migrated_url: str) -> None:
    desk = Desk(migrated_url)
    with pooled(migrated_url, pool_size=1) as url, HotConfig(url, timing=QUICK) as client:
        client.bind(AISettings)
        client.bind(EmailSettings)

        def write(service: type[AISettings | EmailSettings], key: str, count: int) -> None:
            for number in range(count):
                client.store.update(service, {key: number / 100 if key == "threshold" else number}, by=BY)

        threads = [
            threading.Thread(target=write, args=args)
            for args in [(AISettings, "threshold", 25), (EmailSettings, "max_retries", 25)] * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
        assert [desk.broken(service) for service in ("ai", "email")] == [None, None]
        eventually(lambda: client.status().services["ai"].revision == desk.revision("ai"), LONG_S)
    desk.close()


def test_a_lock_that_is_not_let_go_is_a_failure_with_a_known_outcome(pooled_url: str, migrated_url: str) -> None:
    with HotConfig(pooled_url, timing=QUICK) as client, psycopg.connect(migrated_url) as other:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY), LONG_S)
        other.execute("UPDATE hotconfig.service_configs SET value = '0.1'")
        begun_s = time.monotonic()
        with pytest.raises(hotconfig.DatabaseUnavailableError, match="statement timeout"):
            client.store.set(ai, threshold=0.9, by=BY)
        assert 3.0 < time.monotonic() - begun_s < 8.0
        other.rollback()
        assert client.store.set(ai, threshold=0.9, by=BY).revision == 2


def test_a_server_killed_behind_the_pooler_fails_typed_and_comes_back(own_postgres: EmbeddedPostgres) -> None:
    migrate(own_postgres.url)
    with pooled(own_postgres.url) as url, HotConfig(url, timing=QUICK) as client:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY), LONG_S)
        own_postgres.kill()
        begun_s = time.monotonic()
        with pytest.raises(hotconfig.RetryableError):
            client.store.set(ai, threshold=0.9, by=BY)
        assert time.monotonic() - begun_s < 21.0
        assert ai.threshold == 0.8
        own_postgres.restart()
        eventually(lambda: _written(client), LONG_S)
        assert ai.threshold == 0.95


def _written(client: HotConfig) -> bool:
    try:
        client.wait_for(client.store.set(AISettings, threshold=0.95, by=BY))
    except hotconfig.RetryableError:
        return False
    return True


def test_doctor_finds_no_problem_and_names_the_pooler(pooled_url: str, redis_url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "hotconfig", "doctor", "--write", "--json"],
        env={**os.environ, "HOTCONFIG_DATABASE_URL": pooled_url, "HOTCONFIG_REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    states = {check["check"]: check["state"] for check in json.loads(ran.stdout)["checks"]}
    assert (states["pooler"], states["commit and attribute"], states["schema"]) == ("note", "ok", "ok")
    assert ran.returncode == 0
