"""The fixtures that the other tests stand on."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests.support import skips
from tests.support.databases import Databases
from tests.support.waiting import Eventually, eventually


def test_each_test_gets_a_database_of_its_own(databases: Databases) -> None:
    with databases.fresh() as one, databases.fresh() as other:
        assert one != other
        with psycopg.connect(one) as connection:
            connection.execute("CREATE TABLE seen ()")
        with psycopg.connect(other) as connection:
            found = connection.execute("SELECT to_regclass('seen')").fetchone()
        assert found == (None,)


def test_a_database_is_dropped_while_somebody_is_connected(databases: Databases) -> None:
    with databases.fresh() as url:
        lingering = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError), lingering:
        lingering.execute("SELECT 1")


def test_any_database_url_is_there_on_every_server(any_database_url: str) -> None:
    with psycopg.connect(any_database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_migrated_database_holds_the_tables(any_migrated_url: str) -> None:
    with psycopg.connect(any_migrated_url) as connection:
        found = connection.execute("SELECT to_regclass('hotconfig.service_configs')").fetchone()
    assert found is not None
    assert found[0] is not None


def test_redis_begins_without_keys(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_eventually_returns_what_came_and_tells_what_did_not(eventually: Eventually) -> None:
    values = iter([0, None, 3])
    assert eventually(lambda: next(values)) == 3
    with pytest.raises(AssertionError, match=r"not within 0.05 s: the moon; last seen: 0"):
        eventually(lambda: 0, 0.05, message="the moon")


@pytest.mark.parametrize(("reason", "outcome"), [("Skipped: needs root", "skipped"), ("Skipped: no idea", "failed")])
def test_skips_that_are_not_allowed_become_failures(reason: str, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_NO_SKIPS", "1")
    report = pytest.TestReport(
        nodeid="x",
        location=("x", 1, "x"),
        keywords={},
        outcome="skipped",
        longrepr=("x", 1, reason),
        when="call",
    )
    skips.forbid(report)
    assert report.outcome == outcome
    assert eventually(lambda: str(report.longrepr))
