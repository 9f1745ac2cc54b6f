"""Migrations: applied once, by whoever comes first, and never onto something else."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import psycopg
import pytest
from psycopg import conninfo, sql

from hotconfig.core.chain import Change, genesis
from hotconfig.core.errors import AccessDeniedError, ConfigurationError
from hotconfig.postgres import migrate as module
from hotconfig.postgres.migrate import Migration, as_sql, migrate, migrations, pending
from hotconfig.postgres.truth import PostgresReader, PostgresWriter
from tests.support.databases import Databases
from tests.support.desks import Desk, order
from tests.support.waiting import eventually

ALL = [migration.number for migration in migrations()]

APPLIED = {
    # Migrations that databases hold. Such a file never changes again; what is to be different is a new migration.
    1: "b54a1deee411a4366346c0b2da3714d6fcaf48fef60ed62b2701756dec30d8a0",
    2: "cb386d0f7115d8f6b1151bc58c2ce9d0027fbf20f8ba1fb02bb095af5b1e376a",
    3: "4186f18d031bcffa8b2e9fbfbdc4de8f8525ff989d244197a7c160a20cca277a",
    4: "307c524a24c1715bd9c169f929fe8d97bfd3a87ad97bf11e9215f2488113b29f",
}


def numbers(found: tuple[Migration, ...]) -> list[int]:
    return [migration.number for migration in found]


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def catalogue(url: str, schema: str) -> list[tuple[object, ...]]:
    """Everything that migrations make, as PostgreSQL describes it."""
    return run(
        url,
        f"""
        SELECT 'column', c.relname, a.attname,
            replace(format_type(a.atttypid, a.atttypmod), '{schema}', 'S') || ' ' || a.attnotnull
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = '{schema}'::regnamespace AND a.attnum > 0
        UNION ALL SELECT 'function', proname, replace(pg_get_functiondef(oid), '{schema}', 'S'), proacl::text
        FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace
        UNION ALL SELECT 'trigger', tgname, replace(pg_get_triggerdef(t.oid), '{schema}', 'S'), NULL
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE relnamespace = '{schema}'::regnamespace AND NOT tgisinternal
        UNION ALL SELECT 'constraint', conname, replace(pg_get_constraintdef(oid), '{schema}', 'S'), NULL
        FROM pg_constraint WHERE connamespace = '{schema}'::regnamespace
        UNION ALL SELECT 'migration', number::text, name, checksum FROM "{schema}".migrations
        ORDER BY 1, 2, 3
        """,
    )


def works(url: str, schema: str) -> None:
    """Write, read and hear a change through this schema."""
    writer, reader = PostgresWriter(url, schema=schema), PostgresReader(url, schema=schema)
    with psycopg.connect(url, autocommit=True) as ears:
        ears.execute(sql.SQL("LISTEN {}").format(sql.Identifier(schema)))
        written = writer.write(order("ai", a="1"))
        (notice,) = ears.notifies(timeout=5, stop_after=1)
    assert notice.payload == "ai 1"
    (loaded,) = reader.load({"ai": genesis("ai")}).loaded
    assert (loaded.head, loaded.changes) == (written.head, (Change("a", "1"),))
    assert reader.load({}).keyring == writer.keyring()
    reader.close()
    writer.close()


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert list(range(1, len(ALL) + 1)) == ALL
    assert all(len(migration.checksum) == 64 and migration.name for migration in migrations())


def test_a_migration_that_databases_hold_is_never_edited() -> None:
    shipped = {migration.number: migration.checksum for migration in migrations()}
    assert {number: shipped.get(number) for number in APPLIED} == APPLIED
    assert shipped.keys() == APPLIED.keys(), "a new migration: add its checksum once it is on the main branch"


def test_an_empty_database_is_brought_up_once(any_database_url: str) -> None:
    assert numbers(pending(any_database_url)) == ALL
    assert numbers(migrate(any_database_url)) == ALL
    before = catalogue(any_database_url, "hotconfig")
    assert pending(any_database_url) == ()
    assert migrate(any_database_url) == ()
    assert catalogue(any_database_url, "hotconfig") == before
    works(any_database_url, "hotconfig")


def test_looking_changes_nothing(any_database_url: str) -> None:
    pending(any_database_url)
    assert run(any_database_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'hotconfig'") == []


def test_threads_that_migrate_at_once_apply_each_migration_once(any_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = sorted(numbers(made) for made in pool.map(migrate, [any_database_url] * 4))
    assert found == [[], [], [], ALL]
    works(any_database_url, "hotconfig")


def test_whoever_waits_for_another_says_so(any_database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(any_database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('hotconfig:hotconfig'))")
        waiting = pool.submit(migrate, any_database_url)
        eventually(lambda: "another program migrates it" in caplog.text)
        assert not waiting.done()
        other.rollback()
        assert numbers(waiting.result()) == ALL


def test_processes_that_migrate_at_once_apply_each_migration_once(database_url: str) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        found = sorted(numbers(made) for made in pool.map(migrate, [database_url] * 2))
    assert found == [[], ALL]


@pytest.mark.parametrize("schema", ["public", "_", "select", "a" * 63, "user", "h2"])
def test_any_schema_name_that_needs_no_quotes_works(schema: str, any_database_url: str) -> None:
    assert numbers(migrate(any_database_url, schema)) == ALL
    assert pending(any_database_url, schema) == ()
    works(any_database_url, schema)


def test_schemas_of_one_database_do_not_touch_each_other(any_database_url: str) -> None:
    migrate(any_database_url, "cfg_first")
    migrate(any_database_url, "cfg_second")
    works(any_database_url, "cfg_first")
    works(any_database_url, "cfg_second")
    described = [catalogue(any_database_url, schema) for schema in ("cfg_first", "cfg_second")]
    assert described[0] == described[1]
    keys = run(
        any_database_url, "SELECT secret FROM cfg_first.signing_keys UNION SELECT secret FROM cfg_second.signing_keys"
    )
    assert len(keys) == 2


@pytest.mark.parametrize(
    "schema", ["", "A", "1a", "a-b", "a.b", 'a"b', "a;drop schema public", "pg_x", "a" * 64, "a\n", "é", "'", "$$"]
)
@pytest.mark.parametrize(
    "call", [migrate, pending, lambda _, schema: as_sql(schema)], ids=["migrate", "pending", "sql"]
)
def test_hostile_schema_names_are_refused_before_anything_happens(
    call: Callable[[str, str], object], schema: str
) -> None:
    with pytest.raises(ConfigurationError, match="cannot name the schema"):
        call("postgresql://nobody@localhost:1/nowhere", schema)


@pytest.mark.parametrize("call", [migrate, pending])
def test_an_edited_migration_is_refused(call: Callable[[str], object], any_migrated_url: str) -> None:
    run(any_migrated_url, "UPDATE hotconfig.migrations SET checksum = repeat('0', 64) WHERE number = 1")
    with pytest.raises(ConfigurationError, match="migration 0001 was applied from another text"):
        call(any_migrated_url)


@pytest.mark.parametrize("call", [migrate, pending])
def test_a_database_of_a_newer_version_is_refused(call: Callable[[str], object], any_migrated_url: str) -> None:
    run(any_migrated_url, "INSERT INTO hotconfig.migrations (number, name, checksum) VALUES (9999, 'later', '')")
    with pytest.raises(ConfigurationError, match="migration 9999, which this hotconfig does not know: upgrade"):
        call(any_migrated_url)


def test_a_migration_that_fails_leaves_nothing(any_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Migration(len(ALL) + 1, "bad", "CREATE TABLE left_behind (); SELECT 1/0;")
    monkeypatch.setattr(module, "migrations", lambda: (*migrations(), bad))
    with pytest.raises(ConfigurationError, match="division by zero"):
        migrate(any_database_url)
    assert run(any_database_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'hotconfig'") == []


def test_a_later_migration_is_applied_to_what_is_there(any_migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    works(any_migrated_url, "hotconfig")
    later = Migration(len(ALL) + 1, "later", "ALTER TABLE organizations ADD COLUMN plan text;")
    monkeypatch.setattr(module, "migrations", lambda: (*migrations(), later))
    assert pending(any_migrated_url) == (later,)
    assert migrate(any_migrated_url) == (later,)
    assert pending(any_migrated_url) == ()
    assert run(any_migrated_url, "SELECT plan FROM hotconfig.organizations") == []


@pytest.fixture
def psql() -> str:
    found = shutil.which("psql")
    if found is None:
        pytest.skip("needs psql: apt-get install postgresql-client")
    return found


def script(psql: str, url: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [psql, "--no-psqlrc", "--quiet", "--dbname", url, "--file", "-"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("schema", ["hotconfig", "other"])
def test_the_script_for_psql_does_the_same(schema: str, psql: str, any_databases: Databases) -> None:
    with any_databases.fresh() as by_script, any_databases.fresh() as by_call:
        done = script(psql, by_script, as_sql(schema))
        assert (done.returncode, done.stderr) == (0, "")
        assert pending(by_script, schema) == ()
        assert migrate(by_script, schema) == ()
        migrate(by_call, schema)
        assert catalogue(by_script, schema) == catalogue(by_call, schema)
        works(by_script, schema)


def test_the_script_stops_at_a_database_that_has_the_tables(psql: str, any_migrated_url: str) -> None:
    before = catalogue(any_migrated_url, "hotconfig")
    assert script(psql, any_migrated_url, as_sql()).returncode != 0
    assert catalogue(any_migrated_url, "hotconfig") == before
    assert script(psql, any_migrated_url, as_sql(after=ALL[-1])).returncode == 0
    assert catalogue(any_migrated_url, "hotconfig") == before


@pytest.fixture
def latin(any_database_url: str) -> Generator[str]:
    name = f"{conninfo.conninfo_to_dict(any_database_url)['dbname']}_latin1"
    run(any_database_url, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    yield conninfo.make_conninfo(any_database_url, dbname=name)
    run(any_database_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_in_another_encoding_is_refused(latin: str) -> None:
    with pytest.raises(ConfigurationError, match="encoded in LATIN1: hotconfig needs UTF8"):
        migrate(latin)
    assert run(latin, "SELECT 1 FROM pg_namespace WHERE nspname = 'hotconfig'") == []


def test_a_role_without_rights_is_denied(any_database_url: str) -> None:
    desk = Desk(any_database_url)
    with desk.role() as url, pytest.raises(AccessDeniedError, match="refused to migrate"):
        migrate(url)
    desk.close()
    assert run(any_database_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'hotconfig'") == []


def test_the_owner_of_the_schema_needs_no_rights_on_the_database_once_it_is_there(any_database_url: str) -> None:
    desk = Desk(any_database_url)
    with desk.role("CREATE SCHEMA hotconfig AUTHORIZATION {role}") as url:
        assert numbers(migrate(url)) == ALL
        assert migrate(url) == ()
        works(url, "hotconfig")
    desk.close()
