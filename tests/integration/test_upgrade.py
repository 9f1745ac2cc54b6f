"""Upgrading the schema under programs that run: an older one goes on, a newer one says what it lacks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Final

import psycopg
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import hotconfig
from hotconfig.cli.app import app
from hotconfig.postgres import migrate as module
from hotconfig.postgres.migrate import migrate, migrations
from hotconfig.postgres.tenants import PostgresTenants
from tests.support.earlier import source_before

PRESENT: Final = Path(hotconfig.__file__).parents[1]
PROGRAM: Final = Path(__file__).parent / "programs" / "older_shop.py"
SECOND: Final = "src/hotconfig/postgres/migrations/0002_tenants.sql"
THIRD: Final = "src/hotconfig/postgres/migrations/0003_guards.sql"
FOURTH: Final = "src/hotconfig/postgres/migrations/0004_many_tenants.sql"
WITHIN_S: Final = 60.0


@hotconfig.settings(service="shop")
class Shop(BaseModel):
    size: int = 1
    title: str = ""


class OlderProgram:
    """``older_shop.py`` on the code in ``source``, in a process of its own."""

    def __init__(self, source: Path, database_url: str, redis_url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            env=environment(source, database_url, redis_url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said: Queue[list[str]] = Queue()
        self._listening = Thread(target=self._listen, name="older program", daemon=True)
        self._listening.start()

    def tell(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def hear(self, *words: object) -> list[str]:
        """Wait for a line that begins with ``words``; what was said before is passed over."""
        wanted = [str(word) for word in words]
        while True:
            try:
                said = self._said.get(timeout=WITHIN_S)
            except Empty:
                raise AssertionError(f"the older program did not say {wanted}") from None
            if said[: len(wanted)] == wanted:
                return said

    def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        status = self._process.wait(WITHIN_S)
        self._listening.join(WITHIN_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self.end()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.split())


def environment(source: Path, database_url: str, redis_url: str = "") -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(source),
        "HOTCONFIG_DATABASE_URL": database_url,
        "HOTCONFIG_REDIS_URL": redis_url,
    }


@pytest.fixture(scope="module", params=["before 0002", "before 0003", "before 0004", "present"])
def older_source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code from before each later migration, and the present one, for where there is no history."""
    if request.param == "present":
        return PRESENT
    added = {"before 0002": SECOND, "before 0003": THIRD, "before 0004": FOURTH}[request.param]
    return source_before(added, tmp_path_factory.mktemp("earlier"))


@pytest.fixture
def first_url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that knows the first migration only."""
    with monkeypatch.context() as patched:
        patched.setattr(module, "migrations", lambda: migrations()[:1])
        assert [made.number for made in migrate(database_url)] == [1]
    return database_url


@pytest.fixture
def older(older_source: Path, first_url: str, redis_url: str) -> Generator[OlderProgram]:
    program = OlderProgram(older_source, first_url, redis_url)
    yield program
    program.kill()


def heads(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as session:
        return session.execute("SELECT revision, encode(digest, 'hex') FROM hotconfig.heads").fetchall()


def test_an_older_program_goes_on_reading_and_writing_while_the_schema_is_upgraded(
    older: OlderProgram, older_source: Path, first_url: str, redis_url: str
) -> None:
    older.hear("bound", 1)
    with hotconfig.HotConfig(first_url, redis_url) as newer:
        shop = newer.bind(Shop)
        for size in range(2, 12):
            newer.store.set(shop, size=size, by="newer")
            if size == 6:
                upgrade = Thread(target=migrate, args=[first_url])
                upgrade.start()
        upgrade.join(WITHIN_S)
        assert not upgrade.is_alive()
        older.hear("shown", 10, 11)

        older.tell("set 20")
        older.hear("wrote", 11, 20)
        newer.wait_for(11, settings=shop)
        assert shop.size == 20

        with psycopg.connect(first_url) as session:
            session.execute("UPDATE hotconfig.service_configs SET value = '21' WHERE service = 'shop' AND key = 'size'")
        with psycopg.connect(first_url) as session:
            newest = session.execute("SELECT max(number) FROM hotconfig.migrations").fetchone()
        assert newest == (migrations()[-1].number,)
        older.hear("shown", 12, 21)

        older.tell("status")
        ((revision, digest),) = heads(first_url)
        assert older.hear("status") == ["status", str(revision), str(digest), "{}"]
    assert older.end() == 0
    verified = CliRunner().invoke(app, ["audit", "verify"], env={"HOTCONFIG_DATABASE_URL": first_url})
    assert verified.exit_code == 0, verified.output


def test_an_older_program_starts_on_the_upgraded_schema(older_source: Path, first_url: str, redis_url: str) -> None:
    migrate(first_url)
    program = OlderProgram(older_source, first_url, redis_url)
    try:
        program.hear("bound", 1)
        program.tell("set 3")
        program.hear("wrote", 1, 3)
        assert program.end() == 0
    finally:
        program.kill()


def test_an_older_command_line_does_not_migrate_what_is_newer(migrated_url: str, tmp_path: Path) -> None:
    earlier = source_before(SECOND, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "hotconfig", "migrate"],
        env=environment(earlier, migrated_url),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "which this hotconfig does not know: upgrade the library" in said


def test_newer_code_reads_and_writes_on_the_first_schema(first_url: str, redis_url: str) -> None:
    with hotconfig.HotConfig(first_url, redis_url) as client:
        shop = client.bind(Shop)
        client.wait_for(client.store.set(shop, size=4, by="newer"))
        assert shop.size == 4
        assert client.status().state is hotconfig.State.READY


def test_what_needs_the_second_migration_names_the_command_that_brings_it(first_url: str) -> None:
    async def look() -> None:
        tenants = PostgresTenants(first_url, schema="hotconfig")
        try:
            await tenants.get("acme")
        finally:
            await tenants.close()

    with pytest.raises(hotconfig.SchemaMissingError, match="Run `hotconfig migrate`"):
        asyncio.run(look())


def test_doctor_names_the_missing_migration_and_migrate_check_tells(first_url: str) -> None:
    runner, env = CliRunner(), {"HOTCONFIG_DATABASE_URL": first_url}
    doctor = runner.invoke(app, ["doctor"], env=env)
    said = " ".join(doctor.output.split())
    assert "lacks 0002 tenants" in said
    assert "hotconfig migrate" in said
    assert runner.invoke(app, ["migrate", "--check"], env=env).exit_code == 1
    assert runner.invoke(app, ["migrate"], env=env).exit_code == 0
    assert runner.invoke(app, ["migrate", "--check"], env=env).exit_code == 0
