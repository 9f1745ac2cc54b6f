"""The truth in SQL: every change makes a revision, a history row and a notification, whoever makes it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from psycopg import errors, sql

from hotconfig.core.chain import Change, Head, genesis
from hotconfig.core.errors import (
    AccessDeniedError,
    ConfigurationError,
    DatabaseUnavailableError,
    DeclarationError,
    SchemaMissingError,
)
from hotconfig.core.names import check_key, check_service
from hotconfig.core.ports import Order
from hotconfig.core.text.limits import MAX_TEXT_BYTES
from hotconfig.postgres.triggers import made_by_migrations
from hotconfig.postgres.truth import PostgresReader, PostgresWriter
from tests.support.desks import Desk, heard, order

Row = tuple[str, str, str | None, str | None]
WRITE: LiteralString = (
    "SELECT moved, revision, digest, parent_digest, changed_at "
    "FROM hotconfig.write_config(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
# Everything that JSON writes in a way of its own, and everything that it leaves as it is.
ODD = [
    "".join(map(chr, range(1, 33))),
    "\x7f",
    "\x80\x9f",
    "\u2028\u2029",
    "🙂\U0010ffff",
    "\ufeff\ufffe",
    "\"'\\/`$$;--",
]


@pytest.fixture
def desk(any_migrated_url: str) -> Generator[Desk]:
    made = Desk(any_migrated_url)
    yield made
    made.close()


@pytest.fixture
def ears(desk: Desk) -> Generator[psycopg.Connection[Any]]:
    """A connection that hears the notifications of the schema."""
    with psycopg.connect(desk.url, autocommit=True) as connection:
        connection.execute("LISTEN hotconfig")
        yield connection


@pytest.fixture
def writer(desk: Desk) -> Generator[PostgresWriter]:
    made = PostgresWriter(desk.url, schema="hotconfig")
    yield made
    made.close()


@pytest.fixture
def reader(desk: Desk) -> Generator[PostgresReader]:
    made = PostgresReader(desk.url, schema="hotconfig")
    yield made
    made.close()


def write_sql(connection: psycopg.Connection[Any], *keys: str, text: str | None, expect: int | None = None) -> None:
    """One call of write_config for the service ai, its keys in the order given."""
    count = len(keys)
    connection.execute(
        WRITE, ["ai", list(keys), [text] * count, [False] * count, [False] * count, "ann", None, expect, uuid4(), False]
    )


# by hand ------------------------------------------------------------------------------------------------------

BY_HAND: dict[str, tuple[LiteralString, list[Row]]] = {
    "insert": ("INSERT INTO service_configs VALUES ('ai', 'c', NULL, '3')", [("insert", "c", None, "3")]),
    "insert of NULL": ("INSERT INTO service_configs VALUES ('ai', 'c', NULL, NULL)", [("insert", "c", None, None)]),
    "insert of several rows": (
        "INSERT INTO service_configs VALUES ('ai', 'c', NULL, '3'), ('ai', 'd', NULL, '4')",
        [("insert", "c", None, "3"), ("insert", "d", None, "4")],
    ),
    "update": ("UPDATE service_configs SET value = '9' WHERE key = 'a'", [("update", "a", "1", "9")]),
    "update to NULL": ("UPDATE service_configs SET value = NULL WHERE key = 'a'", [("update", "a", "1", None)]),
    "update to empty": ("UPDATE service_configs SET value = '' WHERE key = 'a'", [("update", "a", "1", "")]),
    "update of several rows": (
        "UPDATE service_configs SET value = value || '0'",
        [("update", "a", "1", "10"), ("update", "b", "2", "20")],
    ),
    "update of several rows, of which one differs": (
        "UPDATE service_configs SET value = '2'",
        [("update", "a", "1", "2")],
    ),
    "mark as sensitive": (
        "UPDATE service_configs SET sensitive = true WHERE key = 'a'",
        [("update", "a", "1", "1")],
    ),
    "rename": (
        "UPDATE service_configs SET key = 'z' WHERE key = 'a'",
        [("delete", "a", "1", None), ("insert", "z", None, "1")],
    ),
    "delete": ("DELETE FROM service_configs WHERE key = 'a'", [("delete", "a", "1", None)]),
    "delete of all": ("DELETE FROM service_configs", [("delete", "a", "1", None), ("delete", "b", "2", None)]),
    "upsert of a new row": (
        (
            "INSERT INTO service_configs VALUES ('ai', 'c', NULL, '3') "
            "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value"
        ),
        [("insert", "c", None, "3")],
    ),
    "upsert of an old row": (
        (
            "INSERT INTO service_configs VALUES ('ai', 'a', NULL, '3') "
            "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value"
        ),
        [("update", "a", "1", "3")],
    ),
    "merge": (
        (
            "MERGE INTO service_configs s USING (VALUES ('a', '7'), ('c', '8')) AS v (key, value) "
            "ON s.service = 'ai' AND s.key = v.key WHEN MATCHED THEN UPDATE SET value = v.value "
            "WHEN NOT MATCHED THEN INSERT (service, key, value) VALUES ('ai', v.key, v.value)"
        ),
        [("insert", "c", None, "8"), ("update", "a", "1", "7")],
    ),
    "one statement of several": (
        (
            "WITH gone AS (DELETE FROM service_configs WHERE key = 'a' RETURNING *) "
            "INSERT INTO service_configs SELECT service, 'c', NULL, value FROM gone"
        ),
        [("delete", "a", "1", None), ("insert", "c", None, "1")],
    ),
    "a transaction": (
        (
            "BEGIN; UPDATE service_configs SET value = '8' WHERE key = 'a'; UPDATE service_configs SET value = '9' "
            "WHERE key = 'a'; DELETE FROM service_configs WHERE key = 'b'; COMMIT"
        ),
        [("update", "a", "1", "8"), ("update", "a", "8", "9"), ("delete", "b", "2", None)],
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_hand_written_statement_is_one_commit_like_any_other(
    name: str, desk: Desk, ears: psycopg.Connection[Any]
) -> None:
    desk.put(a="1", b="2")
    statement, expected = BY_HAND[name]
    desk.run("SET search_path = hotconfig, public")
    heard(ears)
    desk.run(statement)
    found = desk.told(after=2)
    assert {revision for revision, *_ in found} == {3}
    assert [ordinal for _, ordinal, *_ in found] == list(range(1, len(expected) + 1))
    assert sorted(map(str, (row[2:] for row in found))) == sorted(map(str, expected))
    assert heard(ears) == ["ai 3"]
    assert desk.broken() is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE hotconfig.service_configs SET value = value",
        "UPDATE hotconfig.service_configs SET value = '1' WHERE key = 'a'",
        "UPDATE hotconfig.service_configs SET value = 'x' WHERE key = 'unheard_of'",
        "DELETE FROM hotconfig.service_configs WHERE key = 'unheard_of'",
        "INSERT INTO hotconfig.service_configs VALUES ('ai', 'a', NULL, '1') ON CONFLICT DO NOTHING",
        (
            "INSERT INTO hotconfig.service_configs VALUES ('ai', 'a', NULL, '1') "
            "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value"
        ),
    ],
)
def test_what_changes_nothing_makes_no_revision(
    statement: LiteralString, desk: Desk, ears: psycopg.Connection[Any]
) -> None:
    desk.put(a="1", b="2")
    before = desk.archive.head("ai")
    heard(ears)
    desk.run(statement)
    assert desk.archive.head("ai") == before
    assert desk.told(after=2) == []
    assert heard(ears) == []


def test_write_config_leaves_the_same_traces_as_statements_by_hand(desk: Desk, writer: PostgresWriter) -> None:
    with desk.connection.transaction():
        desk.put("hand", a="1", b=None)
    with desk.connection.transaction():
        desk.run("UPDATE hotconfig.service_configs SET value = '2' WHERE service = 'hand' AND key = 'a'")
        desk.run("DELETE FROM hotconfig.service_configs WHERE service = 'hand' AND key = 'b'")
    writer.write(order("call", a="1", b=None))
    writer.write(order("call", [Change("b", deleted=True)], a="2"))
    by_hand, by_call = desk.told("hand"), desk.told("call")
    assert sorted(row[:1] + row[2:] for row in by_hand) == sorted(row[:1] + row[2:] for row in by_call)
    assert desk.archive.texts("hand") == desk.archive.texts("call") == {"a": "2"}
    assert desk.broken("hand") is desk.broken("call") is None


def test_one_transaction_is_one_revision_for_each_service(desk: Desk, ears: psycopg.Connection[Any]) -> None:
    desk.put("email", a="0")
    heard(ears)
    with desk.connection.transaction():
        desk.put("ai", a="1")
        desk.put("email", b="1")
        desk.put("ai", b="2")
        desk.run("UPDATE hotconfig.service_configs SET service = 'moved' WHERE service = 'ai' AND key = 'a'")
    assert [row[:4] for row in desk.told("ai")] == [(1, 1, "insert", "a"), (1, 2, "insert", "b"), (1, 3, "delete", "a")]
    assert [row[:4] for row in desk.told("email")] == [(1, 1, "insert", "a"), (2, 1, "insert", "b")]
    assert [row[:4] for row in desk.told("moved")] == [(1, 1, "insert", "a")]
    assert sorted(heard(ears)) == ["ai 1", "email 2", "moved 1"]
    assert [desk.broken(service) for service in ("ai", "email", "moved")] == [None] * 3
    assert {name: head.revision for name, head in desk.archive.services().items()} == {"ai": 1, "email": 2, "moved": 1}


def test_transactions_of_one_session_are_commits_of_their_own(desk: Desk) -> None:
    for text in "1234":
        with desk.connection.transaction():
            desk.put(**{f"k{text}": text})
            desk.run("UPDATE hotconfig.service_configs SET value = '9' WHERE key = %s", [f"k{text}"])
    assert [row[:2] for row in desk.told()] == [(n, ordinal) for n in range(1, 5) for ordinal in (1, 2)]
    assert desk.broken() is None


def test_a_rollback_leaves_nothing(desk: Desk, ears: psycopg.Connection[Any]) -> None:
    desk.put(a="1")
    before = desk.archive.head("ai")
    heard(ears)
    with desk.connection.transaction(force_rollback=True):
        desk.put(b="2")
        desk.put("new", b="2")
    assert desk.archive.head("ai") == before
    assert desk.archive.services().keys() == {"ai"}
    assert heard(ears) == []
    desk.put(b="3")
    assert desk.revision() == 2
    assert desk.broken() is None


def test_a_savepoint_that_is_rolled_back_leaves_nothing(desk: Desk) -> None:
    desk.put(a="1")
    with desk.connection.transaction():
        desk.put(b="2")
        with desk.connection.transaction(force_rollback=True):
            desk.put(c="3")
            desk.put("new", c="3")
        desk.put(d="4")
    assert [row[:4] for row in desk.told(after=1)] == [(2, 1, "insert", "b"), (2, 2, "insert", "d")]
    assert desk.archive.services().keys() == {"ai"}
    assert desk.broken() is None


def test_a_savepoint_that_is_rolled_back_first_does_not_use_up_the_revision(desk: Desk) -> None:
    with desk.connection.transaction():
        with desk.connection.transaction(force_rollback=True):
            desk.put(a="1")
        desk.put(b="2")
    assert [row[:4] for row in desk.told()] == [(1, 1, "insert", "b")]
    assert desk.broken() is None


def test_copying_rows_in_is_one_commit(desk: Desk) -> None:
    with (
        desk.connection.cursor() as cursor,
        cursor.copy("COPY hotconfig.service_configs (service, key, value) FROM STDIN") as copy,
    ):
        for number in range(50):
            copy.write_row(("ai", f"k{number}", str(number)))
    assert desk.revision() == 1
    assert len(desk.told()) == 50
    assert desk.broken() is None


def test_history_tells_who_and_why(desk: Desk) -> None:
    desk.put(a="1")
    with desk.connection.transaction():
        desk.run("SET LOCAL hotconfig.by = 'ann'")
        desk.run("SET LOCAL hotconfig.reason = 'because'")
        desk.put(b="1")
    desk.put(c="1")
    one, two, three = desk.archive.chain("ai")
    (login,) = desk.run("SELECT session_user")[0]
    assert (one.changed_by, one.reason, one.db_user) == (login, None, login)
    assert (two.changed_by, two.reason, two.db_user) == ("ann", "because", login)
    assert (three.changed_by, three.reason) == (login, None)


def test_values_for_organizations_are_commits_of_the_same_chain(desk: Desk, reader: PostgresReader) -> None:
    desk.run("INSERT INTO hotconfig.organizations VALUES ('acme', 'Acme', 'ann@acme.example')")
    desk.put(a="1")
    desk.run("INSERT INTO hotconfig.service_configs VALUES ('ai', 'a', 'acme', '2')")
    assert desk.revision() == 2
    assert [row.organization_id for row in desk.archive.chain("ai")] == [None, "acme"]
    assert desk.archive.texts("ai") == {"a": "1"}
    (loaded,) = reader.load({"ai": genesis("ai")}).loaded
    assert loaded.changes == (Change("a", "1"),)
    assert desk.broken() is None


# texts and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [*ODD, "", " ", "NULL", "\\N", "x" * MAX_TEXT_BYTES, "🙂" * (MAX_TEXT_BYTES // 4)],
    ids=lambda text: ascii(text[:5]),
)
def test_any_text_is_kept_hashed_and_read_back(text: str, desk: Desk, writer: PostgresWriter) -> None:
    writer.write(replace(order(a=text, b=text), by=text[:200], reason=text[:200] or None))
    desk.put(c=text)
    assert desk.archive.texts("ai") == {"a": text, "b": text, "c": text}
    assert desk.broken() is None


def test_the_canonical_form_is_the_same_in_both_languages_for_every_character(desk: Desk) -> None:
    for character in (*map(chr, range(1, 0x100)), "\u2028", "\u2029", "\ud7ff", "\ue000", "\uffff", "\U0010ffff"):
        texts = [character, f"a{character}b", character * 20]
        (found,) = desk.run("SELECT json_build_array('hotconfig1', %s::text[], 7, NULL, true)::text", [texts])[0]
        assert found == json.dumps(["hotconfig1", texts, 7, None, True], ensure_ascii=False).replace('", "', '","')


def test_chains_of_any_texts_hold(desk: Desk, writer: PostgresWriter) -> None:
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
    commits = st.lists(st.dictionaries(st.sampled_from("abc"), st.none() | texts, min_size=1), min_size=1, max_size=4)

    @profile(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(commits, texts)
    def holds(made: list[dict[str, str | None]], by: str) -> None:
        for number, commit in enumerate(made):
            hidden = ["a"] if number % 2 else []
            written = writer.write(
                replace(order("ai", [Change(*item) for item in commit.items()], sensitive=hidden), by=by, reason=by)
            )
            assert written.head == desk.archive.head("ai")
            assert {key: desk.archive.texts("ai")[key] for key in commit} == commit
        assert desk.broken() is None

    holds()


def test_a_text_of_more_than_a_mebibyte_is_refused(desk: Desk, writer: PostgresWriter) -> None:
    with pytest.raises(ConfigurationError):
        writer.write(order(a="x" * (MAX_TEXT_BYTES + 1)))
    with pytest.raises(errors.CheckViolation):
        desk.put(a="🙂" * (MAX_TEXT_BYTES // 4) + "x")
    assert desk.revision() == 0


NAMES = [
    *(
        "a",
        "A",
        "_",
        "1",
        "a.b",
        "a-b",
        "-a",
        ".a",
        "a" * 63,
        "a" * 64,
        "a" * 127,
        "a" * 128,
        "",
        " ",
        "a b",
        "a:b",
        "*",
    ),
    *("a\n", "\na", "a\tb", "a\x7f", "@commits", "@", "[", "^", "`", "{", "/", "é", "\u0131", "\u017f", "\u212a"),
]


def test_names_are_valid_in_the_database_exactly_where_they_are_in_python(desk: Desk) -> None:
    for name in NAMES:
        for service, key, check in ((name, "k", check_service), (f"s{NAMES.index(name)}", name, check_key)):
            try:
                check(name)
            except DeclarationError:
                with pytest.raises(errors.CheckViolation):
                    desk.put(service, **{key: "1"})
            else:
                desk.put(service, **{key: "1"})
                assert desk.broken(service) is None


def test_a_sensitive_value_is_hashed_with_a_nonce(desk: Desk) -> None:
    desk.run("INSERT INTO hotconfig.service_configs VALUES ('ai', 'a', NULL, '1', true), ('ai', 'b', NULL, '1', false)")
    desk.run("UPDATE hotconfig.service_configs SET sensitive = false")
    rows = list(desk.archive.chain("ai"))
    assert [(row.key, row.sensitive, row.nonce is not None) for row in rows] == [
        ("a", True, True),
        ("b", False, False),
        ("a", True, True),
    ]
    assert desk.broken() is None


# history that cannot be edited --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE hotconfig.config_history SET new_value = 'x'",
        "UPDATE hotconfig.config_history SET new_value = 'x' WHERE false",
        "DELETE FROM hotconfig.config_history",
        "TRUNCATE hotconfig.config_history",
        (
            "INSERT INTO hotconfig.config_history SELECT 'ai', 9, ordinal, organization_id, key, op, old_value, "
            "new_value, sensitive, changed_by, reason, changed_at, db_user, commit_id, nonce, digest "
            "FROM hotconfig.config_history"
        ),
        "UPDATE hotconfig.heads SET revision = 9",
        "DELETE FROM hotconfig.heads",
        "TRUNCATE hotconfig.heads",
        "INSERT INTO hotconfig.heads SELECT 'x', 0, digest, digest, 0, '1', now(), now() FROM hotconfig.heads",
        "TRUNCATE hotconfig.service_configs",
        "TRUNCATE hotconfig.organizations CASCADE",
        "DO $$ BEGIN UPDATE hotconfig.config_history SET new_value = 'x'; END $$",
        "DO $$ BEGIN UPDATE hotconfig.heads SET revision = 9; END $$",
    ],
)
def test_not_even_a_superuser_edits_history(statement: LiteralString, desk: Desk) -> None:
    desk.put(a="1", b="2")
    before = desk.told(), desk.archive.head("ai"), desk.archive.texts("ai")
    with pytest.raises(psycopg.Error) as caught:
        desk.run(statement)
    assert caught.value.sqlstate == "HC001"
    assert caught.value.diag.message_hint
    assert (desk.told(), desk.archive.head("ai"), desk.archive.texts("ai")) == before
    assert desk.broken() is None


@pytest.mark.parametrize(
    ("statement", "revision"),
    [
        ("UPDATE hotconfig.config_history SET new_value = '3' WHERE revision = 2", 2),
        ("UPDATE hotconfig.config_history SET changed_by = 'bob' WHERE revision = 1", 1),
        ("UPDATE hotconfig.config_history SET changed_at = changed_at + '1 us' WHERE revision = 3", 3),
        ("UPDATE hotconfig.config_history SET digest = sha256(digest) WHERE revision = 3", 3),
        ("DELETE FROM hotconfig.config_history WHERE revision = 2", 3),
        ("DELETE FROM hotconfig.config_history WHERE revision = 3", 3),
        ("DELETE FROM hotconfig.config_history WHERE revision = 1", 2),
        ("UPDATE hotconfig.heads SET revision = 2", 2),
        ("UPDATE hotconfig.heads SET digest = sha256(digest)", 3),
    ],
)
def test_with_the_triggers_switched_off_the_chain_shows_it(statement: LiteralString, revision: int, desk: Desk) -> None:
    desk.put(a="1", b="2", c="3")
    with desk.connection.transaction():
        desk.run("SET LOCAL session_replication_role = replica")
        desk.run(statement)
    found = desk.broken()
    assert found is not None
    assert found.revision == revision


# many at once -------------------------------------------------------------------------------------------------


def test_concurrent_writers_leave_no_gap_and_no_fork(desk: Desk, writer: PostgresWriter) -> None:
    def work(number: int) -> list[tuple[Head, Head]]:
        found = [writer.write(order("ai", [Change(f"k{number % 3}", f"{number} {n}")])) for n in range(50)]
        assert all(written.moved for written in found)
        return [(written.parent, written.head) for written in found]

    with ThreadPoolExecutor(8) as pool:
        steps = dict(step for steps in pool.map(work, range(8)) for step in steps)
    assert len(steps) == 400
    at = genesis("ai")
    for _ in range(400):
        at = steps[at]
    assert at == desk.archive.head("ai")
    assert at.revision == 400
    assert desk.broken() is None


KINDS: dict[str, Callable[[Desk, str], object]] = {
    "one": lambda desk, text: write_sql(desk.connection, "a", text=text),
    "other": lambda desk, text: write_sql(desk.connection, "b", text=text),
    "both": lambda desk, text: write_sql(desk.connection, "a", "b", text=text),
    "both reversed": lambda desk, text: write_sql(desk.connection, "b", "a", text=text),
    "expecting": lambda desk, text: write_sql(desk.connection, "b", text=text, expect=desk.revision()),
    "by hand": lambda desk, text: desk.run("UPDATE hotconfig.service_configs SET value = %s WHERE key = 'b'", [text]),
    "deleting": lambda desk, text: desk.run(
        WRITE, ["ai", ["a", "b"], [text, None], [False, True], [False] * 2, "x", None, None, uuid4(), False]
    ),
}


@pytest.mark.parametrize("known", [True, False], ids=["known service", "new service"])
def test_writers_of_every_kind_never_block_each_other_for_good(known: bool, desk: Desk) -> None:
    if known:
        desk.put(a="0", b="0")
    barrier = threading.Barrier(len(KINDS))

    def work(kind: str) -> set[str | None]:
        own = Desk(desk.url)
        refusals: set[str | None] = set()
        barrier.wait(10)
        for number in range(40):
            try:
                KINDS[kind](own, f"{kind} {number}")
            except psycopg.Error as error:
                refusals.add(error.sqlstate)
        own.close()
        return refusals

    with ThreadPoolExecutor(len(KINDS)) as pool:
        found = dict(zip(KINDS, pool.map(work, KINDS), strict=True))
    assert found.pop("expecting") <= {"HC002"}
    # No deadlock. On a service that is new, PostgreSQL may have to end one among the first inserts; writers try again.
    assert set[str | None]().union(*found.values()) <= (set() if known else {"40P01"})
    assert desk.broken() is None


def test_several_calls_in_one_transaction_are_one_commit(desk: Desk) -> None:
    with desk.connection.transaction():
        write_sql(desk.connection, "a", text="1", expect=0)
        write_sql(desk.connection, "b", text="2", expect=1)
        with pytest.raises(psycopg.Error), desk.connection.transaction():
            write_sql(desk.connection, "c", text="3", expect=0)
    assert [row[:4] for row in desk.told()] == [(1, 1, "insert", "a"), (1, 2, "insert", "b")]
    assert desk.broken() is None


# reading ------------------------------------------------------------------------------------------------------


def test_a_read_of_nothing_still_brings_the_keys(desk: Desk, reader: PostgresReader) -> None:
    assert reader.load({}).keyring.keys() == {1}
    desk.run("SELECT hotconfig.rotate_signing_key()")
    assert reader.load({}).keyring.keys() == {1, 2}
    desk.run("DELETE FROM hotconfig.signing_keys")
    answer = reader.load({"ai": genesis("ai")})
    assert (answer.keyring, answer.in_recovery, len(answer.loaded)) == ({}, False, 1)


def test_a_reader_connects_anew_after_its_connection_was_ended(desk: Desk, reader: PostgresReader) -> None:
    reader.load({})
    desk.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hotconfig reader'")
    with pytest.raises(DatabaseUnavailableError):
        reader.load({})
    assert reader.load({}).keyring


def test_schemas_are_kept_once_the_newest_first(desk: Desk, reader: PostgresReader) -> None:
    reader.register("ai", "one", '{"a": 1}')
    reader.register("ai", "one", '{"a": 1}')
    reader.register("ai", "two", '{"b": 2}')
    role = str(desk.connection.info.user)
    assert desk.archive.schemas("ai") == [("two", role, {"b": 2}), ("one", role, {"a": 1})]
    assert desk.archive.schemas("email") == []


@pytest.mark.parametrize(
    ("service", "schema_hash", "schema", "told"),
    [
        ("bad name *", "h", "{}", "service_name"),
        (None, "h", "{}", "is an object"),
        ("ai", "", "{}", "schema_hash_text"),
        ("ai", "h" * 129, "{}", "schema_hash_text"),
        ("ai", "h", '"not an object"', "is an object"),
        ("ai", "h", "[]", "is an object"),
        ("ai", "h", None, "is an object"),
        ("ai", "h", '{"title": "' + "x" * 262_144 + '"}', "more than 262144 bytes"),
    ],
)
def test_what_is_no_schema_of_a_class_cannot_be_registered(
    desk: Desk, service: str | None, schema_hash: str, schema: str | None, told: str
) -> None:
    with pytest.raises(errors.CheckViolation, match=told):
        desk.run("SELECT hotconfig.register_schema(%s, %s, %s::jsonb)", [service, schema_hash, schema])
    assert desk.run("SELECT FROM hotconfig.service_schemas") == []


def test_the_newest_schemas_of_each_role_are_kept_and_nobody_crowds_out_the_others(desk: Desk) -> None:
    desk.run("SELECT hotconfig.register_schema('ai', 'mine', '{}')")
    desk.run("INSERT INTO hotconfig.service_schemas VALUES ('ai', 'early', '{}', now(), NULL)")
    with desk.role(READER) as url, psycopg.connect(url, autocommit=True) as connection:
        role = str(connection.info.user)
        for number in range(60):
            connection.execute("SELECT hotconfig.register_schema('ai', %s, '{}')", [f"h{number}"])
        kept = [(schema_hash, by) for schema_hash, by, _ in desk.archive.schemas("ai")]
    assert kept[:50] == [(f"h{number}", role) for number in reversed(range(10, 60))]
    assert sorted(kept[50:]) == [("early", None), ("mine", str(desk.connection.info.user))]


# a history that is not kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        order(a="2"),
        order(new="1"),
        order(a="2", b="1"),
        order("ai", [Change("a", deleted=True)]),
        order("ai", [Change("a", "2"), Change("b", deleted=True)]),
        order("unheard", new="1"),
    ],
    ids=["update", "insert", "several", "delete", "mixed", "new service"],
)
@pytest.mark.parametrize(
    "without",
    [
        "DROP TRIGGER record_change ON hotconfig.service_configs",
        "ALTER TABLE hotconfig.service_configs DISABLE TRIGGER USER",
    ],
)
def test_a_write_that_would_leave_no_history_is_refused_and_undone(
    desk: Desk, writer: PostgresWriter, without: LiteralString, change: Order
) -> None:
    writer.write(order(a="1"))
    desk.run(without)
    with pytest.raises(ConfigurationError, match="record_change of service_configs is missing or disabled"):
        writer.write(change)
    assert desk.archive.texts("ai") == {"a": "1"}
    assert desk.archive.texts("unheard") == {}


def test_a_write_of_what_is_there_changes_nothing_with_the_trigger_and_without(
    desk: Desk, writer: PostgresWriter
) -> None:
    writer.write(order(a="1", b="2"))
    desk.run("ALTER TABLE hotconfig.service_configs DISABLE TRIGGER USER")
    assert not writer.write(order(a="1")).moved
    assert not writer.write(order(a="1", b="2")).moved
    assert not writer.write(order("ai", [Change("nothing", deleted=True)])).moved
    assert not writer.write(order("ai", [], expect=1)).moved


def test_triggers_that_are_missing_or_disabled_are_named(desk: Desk) -> None:
    assert desk.archive.trigger_faults() == []
    desk.run("DROP TRIGGER record_change ON hotconfig.service_configs")
    desk.run("ALTER TABLE hotconfig.config_history DISABLE TRIGGER USER")
    desk.run("ALTER TABLE hotconfig.heads ENABLE REPLICA TRIGGER no_truncate")
    desk.run("ALTER TABLE hotconfig.heads ENABLE ALWAYS TRIGGER only_by_trigger")
    assert [(trigger.table, trigger.name, fault) for trigger, fault in desk.archive.trigger_faults()] == [
        ("config_history", "append_only", "disabled"),
        ("config_history", "notice_quota", "disabled"),
        ("config_history", "only_by_trigger", "disabled"),
        ("heads", "no_truncate", "disabled"),
        ("service_configs", "record_change", "missing"),
    ]


def test_every_trigger_that_the_migrations_make_is_known(desk: Desk) -> None:
    rows = desk.run(
        "SELECT relname, tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE relnamespace = 'hotconfig'::regnamespace AND NOT tgisinternal"
    )
    assert made_by_migrations(frozenset({1, 2, 3})) == set(rows)


# roles --------------------------------------------------------------------------------------------------------

READER: LiteralString = "SELECT hotconfig.grant_reader({name})"
WRITER: LiteralString = "SELECT hotconfig.grant_writer({name})"
TABLES = (
    "organizations",
    "service_configs",
    "config_history",
    "heads",
    "signing_keys",
    "service_schemas",
    "migrations",
)


def privileges(connection: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """What the connected role may do to the tables."""
    rows = connection.execute(
        "SELECT c.relname, p.name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, "
        "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p (name) "
        "WHERE n.nspname = 'hotconfig' AND c.relkind = 'r' AND has_table_privilege(c.oid, p.name)"
    )
    return {(str(table), str(privilege)) for table, privilege in rows}


def callable_functions(connection: psycopg.Connection[Any]) -> set[str]:
    rows = connection.execute(
        "SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace "
        "WHERE n.nspname = 'hotconfig' AND has_function_privilege(pg_proc.oid, 'EXECUTE')"
    )
    return {str(name) for (name,) in rows}


READABLE = {(table, "SELECT") for table in TABLES if table != "organizations"}


def test_a_reader_reads_and_cannot_write(desk: Desk, writer: PostgresWriter) -> None:
    writer.write(order(a="1"))
    with desk.role(READER) as url:
        reading = PostgresReader(url, schema="hotconfig")
        (loaded,) = reading.load({"ai": genesis("ai")}).loaded
        assert loaded.changes == (Change("a", "1"),)
        reading.register("ai", "hash", "{}")
        reading.close()
        writing = PostgresWriter(url, schema="hotconfig")
        with pytest.raises(AccessDeniedError, match="grant_writer"):
            writing.write(order(a="2"))
        writing.close()
        with psycopg.connect(url, autocommit=True) as connection:
            assert privileges(connection) == READABLE
            assert callable_functions(connection) == {"genesis", "utc_text", "register_schema"}
    assert desk.revision() == 1


def test_a_writer_writes_through_the_function_alone(desk: Desk) -> None:
    with desk.role(WRITER) as url:
        writing = PostgresWriter(url, schema="hotconfig")
        assert writing.write(order(a="1", b="2")).head == desk.archive.head("ai")
        assert writing.write(order("ai", [Change("a", deleted=True)])).moved
        assert writing.keyring()
        writing.close()
        role = psycopg.conninfo.conninfo_to_dict(url)["user"]
        assert {(row.changed_by, row.db_user) for row in desk.archive.chain("ai")} == {("ann", role)}
        with psycopg.connect(url, autocommit=True) as connection:
            assert privileges(connection) == READABLE
            assert callable_functions(connection) == {"genesis", "utc_text", "register_schema", "write_config"}
            for statement in (
                "UPDATE hotconfig.service_configs SET value = '3'",
                "DELETE FROM hotconfig.config_history",
                "INSERT INTO hotconfig.signing_keys VALUES (9, sha256('x'))",
                "SELECT hotconfig.rotate_signing_key()",
                "SELECT hotconfig.extend_chain('insert', 'ai', NULL, 'z', NULL, '1', false)",
            ):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(statement)
    assert desk.broken() is None


def test_a_role_with_rights_on_the_table_alone_makes_proper_commits(desk: Desk) -> None:
    with (
        desk.role(
            "GRANT USAGE ON SCHEMA hotconfig TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON hotconfig.service_configs TO {role}",
        ) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute("INSERT INTO hotconfig.service_configs VALUES ('ai', 'a', NULL, '1')")
        connection.execute("UPDATE hotconfig.service_configs SET value = '2'")
    assert [row[2:] for row in desk.told()] == [("insert", "a", None, "1"), ("update", "a", "1", "2")]
    assert desk.broken() is None


def test_a_role_with_nothing_is_denied_with_advice(desk: Desk) -> None:
    with desk.role() as url:
        reading, writing = PostgresReader(url, schema="hotconfig"), PostgresWriter(url, schema="hotconfig")
        for attempt in (lambda: reading.load({}), lambda: writing.write(order(a="1")), writing.keyring):
            with pytest.raises(AccessDeniedError, match="grant_reader"):
                attempt()
        reading.close()
        writing.close()
        with psycopg.connect(url, autocommit=True) as connection:
            assert privileges(connection) == set()
            assert callable_functions(connection) == set()


def test_a_wrong_password_is_denied_without_repeating_it(desk: Desk) -> None:
    url = psycopg.conninfo.make_conninfo(desk.url, password="canary-4711")
    with pytest.raises(AccessDeniedError) as caught:
        PostgresReader(url, schema="hotconfig").load({})
    assert "canary" not in str(caught.value)


def test_a_missing_schema_says_to_migrate(desk: Desk) -> None:
    reading, writing = PostgresReader(desk.url, schema="elsewhere"), PostgresWriter(desk.url, schema="elsewhere")
    for attempt in (lambda: reading.load({}), lambda: writing.write(order(a="1"))):
        with pytest.raises(SchemaMissingError, match="hotconfig migrate"):
            attempt()
    reading.close()
    writing.close()


def test_functions_that_run_as_their_owner_have_a_fixed_search_path(desk: Desk) -> None:
    rows = desk.run(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'hotconfig'::regnamespace AND prosecdef"
    )
    assert {name for name, _ in rows} >= {"record_change", "write_config", "register_schema"}
    assert all("search_path=hotconfig, pg_temp" in configured for _, configured in rows)


def test_a_hostile_search_path_changes_nothing(desk: Desk) -> None:
    with desk.role(WRITER) as url:
        role = sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(url)["user"]))
        desk.connection.execute(sql.SQL("CREATE SCHEMA evil AUTHORIZATION {}").format(role))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                """
                CREATE TABLE evil.heads AS SELECT * FROM hotconfig.heads;
                CREATE TABLE evil.service_configs AS SELECT * FROM hotconfig.service_configs;
                CREATE TABLE evil.config_history AS SELECT * FROM hotconfig.config_history;
                CREATE FUNCTION evil.genesis(text) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
                CREATE FUNCTION evil.extend_chain(text, text, text, text, text, text, boolean) RETURNS void
                    LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
                CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
                CREATE FUNCTION evil.equal(text, text) RETURNS boolean
                    LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
                CREATE OPERATOR evil.= (FUNCTION = evil.equal, LEFTARG = text, RIGHTARG = text);
                CREATE OPERATOR evil.|| (FUNCTION = evil.equal, LEFTARG = text, RIGHTARG = text);
                CREATE TEMPORARY TABLE heads AS SELECT * FROM hotconfig.heads;
                CREATE TEMPORARY TABLE service_configs AS SELECT * FROM hotconfig.service_configs;
                SET search_path = evil, pg_temp, pg_catalog, hotconfig;
                """
            )
            write_sql(connection, "a", text="1")
            write_sql(connection, "a", "b", text="2", expect=1)
            assert connection.execute("SELECT count(*) FROM evil.heads").fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM pg_temp.service_configs").fetchone() == (0,)
    assert desk.archive.texts("ai") == {"a": "2", "b": "2"}
    assert desk.revision() == 2
    assert desk.broken() is None


def test_a_commit_id_is_kept_with_every_change_of_the_commit(desk: Desk, writer: PostgresWriter) -> None:
    made = order(a="1", b="2")
    writer.write(made)
    desk.put(c="3")
    assert [row.commit_id and UUID(row.commit_id) for row in desk.archive.chain("ai")] == [
        made.commit_id,
        made.commit_id,
        None,
    ]
