"""Whoever owns the database can switch triggers off. What was changed behind their back is found, and named."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from hotconfig import HotConfig, Timing
from hotconfig.core.chain import Change, Recorded, extend, genesis
from hotconfig.postgres.truth import PostgresWriter
from tests.integration.settings import BY, AISettings, ClientFactory, publish
from tests.support.desks import Desk, order
from tests.support.waiting import Eventually

REVISION = 2
BYTES: dict[str, str] = {
    # Each changes one byte, or as little as the type allows, of revision 2.
    "key": "overlay(key placing 'z' from 1 for 1)",
    "op": "overlay(op placing 'I' from 1 for 1)",
    "old_value": "overlay(old_value placing 'z' from 1 for 1)",
    "new_value": "overlay(new_value placing 'z' from 1 for 1)",
    "sensitive": "NOT sensitive",
    "changed_by": "overlay(changed_by placing 'z' from 1 for 1)",
    "reason": "overlay(reason placing 'z' from 1 for 1)",
    "changed_at": "changed_at + interval '1 microsecond'",
    "db_user": "overlay(db_user placing 'z' from 1 for 1)",
    "commit_id": "translate(commit_id::text, '0123456789abcdef', '123456789abcdef0')::uuid",
    "nonce": "gen_random_uuid()",
    "organization_id": "'acme'",
    "digest": "set_byte(digest, 31, get_byte(digest, 31) # 1)",
}


@pytest.fixture
def desk(any_migrated_url: str) -> Generator[Desk]:
    made = Desk(any_migrated_url)
    yield made
    made.close()


def behind_the_triggers(desk: Desk, statement: sql.SQL, params: Any = None) -> None:
    with desk.connection.transaction():
        desk.run("SET LOCAL session_replication_role = replica")
        desk.connection.execute(statement, params)


def test_one_byte_of_any_column_is_found_and_its_revision_named(desk: Desk) -> None:
    writer = PostgresWriter(desk.url, schema="hotconfig")
    for value in ("abc", "xbc", "abx"):
        writer.write(order("ai", [Change("a", value)]))
    writer.close()
    described = desk.run(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'hotconfig.config_history'::regclass AND attnum > 0"
    )
    assert {str(name) for (name,) in described} == {*BYTES, "service", "revision", "ordinal"}
    for column, changed in BYTES.items():
        with desk.connection.transaction(force_rollback=True):
            statement = f"UPDATE hotconfig.config_history SET {column} = {changed} WHERE revision = {REVISION}"
            behind_the_triggers(desk, sql.SQL(statement))
            assert _verify(desk) == REVISION, column
    assert desk.broken() is None


def _verify(desk: Desk) -> int | None:
    """As ``hotconfig audit verify``, but within the transaction of the test."""
    from hotconfig.core.chain import Head, verify

    rows = desk.run(
        "SELECT service, revision, ordinal, organization_id, key, op, old_value, new_value, sensitive, changed_by, "
        "reason, hotconfig.utc_text(changed_at), db_user, commit_id::text, nonce::text, digest "
        "FROM hotconfig.config_history ORDER BY revision, ordinal"
    )
    ((revision, digest),) = desk.run("SELECT revision, digest FROM hotconfig.heads")
    found = verify("ai", (Recorded(*row) for row in rows), Head(revision, bytes(digest)))
    return found.revision if found is not None else None


def rewrite_consistently(url: str) -> None:
    """What only the owner of the database can do: change a row, and every digest after it, and the head."""
    desk = Desk(url)
    digest = genesis("ai").digest
    for row in list(desk.archive.chain("ai")):
        told = replace(row, new_value="0.11" if row.new_value == "0.8" else row.new_value)
        digest = extend(digest, told)
        behind_the_triggers(
            desk,
            sql.SQL("UPDATE hotconfig.config_history SET new_value = %s, digest = %s WHERE revision = %s"),
            [told.new_value, digest, row.revision],
        )
    behind_the_triggers(desk, sql.SQL("UPDATE hotconfig.heads SET digest = %s"), [digest])
    assert desk.broken() is None
    desk.close()


def test_a_consistent_forgery_is_noticed_by_every_running_reader(
    start_client: ClientFactory,
    migrated_url: str,
    redis_url: str,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The chain alone cannot tell it from the truth; whoever remembers a head can."""
    client: HotConfig = start_client(timing=Timing(reconcile_s=600))
    ai = client.bind(AISettings)
    for threshold in (0.8, 0.9):
        client.wait_for(client.store.set(ai, threshold=threshold, by=BY))
    remembered = client.status().services["ai"].digest
    rewrite_consistently(migrated_url)
    publish(redis_url, "config:ai:threshold", "?")
    eventually(lambda: client.status().counters["rewinds"] == 1)
    assert client.status().services["ai"].digest != remembered
    assert [record for record in caplog.records if record.levelno == logging.ERROR and "'ai'" in record.message]


def test_a_grant_does_not_make_a_forger(any_migrated_url: str) -> None:
    """Reader and writer roles can neither switch triggers off nor touch a row of the history."""
    desk = Desk(any_migrated_url)
    try:
        with (
            desk.role("GRANT USAGE ON SCHEMA hotconfig TO {role}", "SELECT hotconfig.grant_writer({name})") as url,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            for statement in (
                "SET session_replication_role = replica",
                "ALTER TABLE hotconfig.config_history DISABLE TRIGGER ALL",
                "UPDATE hotconfig.config_history SET new_value = 'x'",
                "CREATE TABLE hotconfig.mine (a int)",
                "CREATE FUNCTION hotconfig.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "ALTER FUNCTION hotconfig.genesis(text) RENAME TO g",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
            connection.execute("GRANT SELECT ON hotconfig.signing_keys TO PUBLIC")  # a warning: nothing was granted
        ((listed,),) = desk.run("SELECT relacl::text FROM pg_class WHERE oid = 'hotconfig.signing_keys'::regclass")
        assert "{=" not in listed
        assert ",=" not in listed
    finally:
        desk.close()
