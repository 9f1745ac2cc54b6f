"""What a role, a database or the environment presets about a connection changes nothing of what is read or written."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import conninfo, sql

from hotconfig.core.chain import genesis
from hotconfig.core.judge import Loaded
from hotconfig.postgres.truth import PostgresReader, PostgresWriter
from tests.support.desks import Desk, order

TEXT = "grün €\U0001f600 \\ \" '"


@pytest.fixture
def desk(any_migrated_url: str) -> Generator[Desk]:
    made = Desk(any_migrated_url)
    yield made
    made.close()


def read(url: str, *services: str) -> tuple[Loaded, ...]:
    reader = PostgresReader(url, schema="hotconfig")
    try:
        return reader.load({service: genesis(service) for service in services}).loaded
    finally:
        reader.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_texts_do_not_depend_on_the_encoding_that_the_environment_presets(
    desk: Desk, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    writer = PostgresWriter(desk.url, schema="hotconfig")
    try:
        written = writer.write(order(a=TEXT))
    finally:
        writer.close()
    (loaded,) = read(desk.url, "ai")
    assert (loaded.head, loaded.changes[0].text) == (written.head, TEXT)


def test_texts_do_not_depend_on_the_encoding_that_the_url_names(desk: Desk) -> None:
    desk.put(a=TEXT)
    (loaded,) = read(conninfo.make_conninfo(desk.url, client_encoding="SQL_ASCII"), "ai")
    assert loaded.changes[0].text == TEXT


@pytest.mark.parametrize(
    "preset",
    [
        "-c standard_conforming_strings=off",
        "-c bytea_output=escape",
        "-c search_path=",
        "-c DateStyle=German -c TimeZone=Asia/Tokyo",
    ],
)
def test_a_head_is_known_again_whatever_is_preset(desk: Desk, preset: str) -> None:
    desk.put(a="1", b=TEXT)
    head = desk.archive.head("ai")
    reader = PostgresReader(conninfo.make_conninfo(desk.url, options=preset), schema="hotconfig")
    try:
        (loaded,) = reader.load({"ai": head}).loaded
    finally:
        reader.close()
    assert (loaded.head, loaded.known, loaded.changes) == (head, True, ())


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_concurrent_writers_do_not_fail_where_another_isolation_is_preset(desk: Desk, level: str) -> None:
    database = sql.Identifier(desk.connection.info.dbname)
    desk.connection.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = {}").format(database, sql.Literal(level))
    )
    writer = PostgresWriter(desk.url, schema="hotconfig")
    try:
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda number: writer.write(order(a=str(number))), range(60)))
    finally:
        writer.close()
    assert sorted(written.head.revision for written in made) == list(range(1, 61))


def test_an_operator_that_somebody_slips_into_the_public_schema_is_not_called(desk: Desk) -> None:
    """On PostgreSQL 14, and in databases that come from there, everybody may create things in it."""
    desk.put(a="1", b="2")
    desk.connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    with desk.role("SELECT hotconfig.grant_reader({name})") as url:
        thief = Desk(url)
        thief.run(
            """
            CREATE FUNCTION public.steal(hotconfig.service_name, text) RETURNS boolean LANGUAGE plpgsql
                AS $$ BEGIN RAISE 'this ran as %', current_user; END $$;
            CREATE OPERATOR public.= (FUNCTION = public.steal, LEFTARG = hotconfig.service_name, RIGHTARG = text);
            """
        )
        thief.close()
        assert desk.archive.texts("ai") == {"a": "1", "b": "2"}
        (loaded,) = read(desk.url, "ai")
        assert {change.key: change.text for change in loaded.changes} == {"a": "1", "b": "2"}
