"""The pytest plugin as its users have it: in a run of their own, alone and with xdist, switched off, and unittest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psycopg
import pytest

from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.support.plugged import declared, run_pytest

SERVICE: Final = """
import hotconfig
from pydantic import BaseModel, Field

@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)
"""

MEMORY: Final = """
from service import AI

def test_memory(hotconfig_memory):
    ai = hotconfig_memory.bind(AI)
    hotconfig_memory.wait_for(hotconfig_memory.store.set(ai, threshold=0.9, by="ann"))
    assert ai.threshold == 0.9

def test_a_new_one_for_each_test(hotconfig_memory, hotconfig_override):
    ai = hotconfig_memory.bind(AI)
    assert ai.threshold == 0.75
    hotconfig_override(ai, threshold=0.1)
    assert ai.threshold == 0.1

def test_an_override_ends_with_its_test(hotconfig_override):
    hotconfig_override(AI, threshold=0.2)

def test_and_is_not_there_in_the_next(hotconfig_memory):
    assert hotconfig_memory.bind(AI).threshold == 0.75
"""

CLIENT: Final = """
import pytest
from service import AI

@pytest.mark.parametrize("number", range(4))
def test_client(hotconfig_client, number):
    ai = hotconfig_client.bind(AI)
    assert ai.threshold == 0.75
    hotconfig_client.wait_for(hotconfig_client.store.set(ai, threshold=0.9, by="ann"))
    assert ai.threshold == 0.9
"""

UNITTEST: Final = """
import unittest
from hotconfig.testing import in_memory, override, servers
from service import AI

class MemoryCase(unittest.TestCase):
    def setUp(self):
        self.hc = self.enterContext(in_memory({AI: {"threshold": 0.5}}))

    @override(AI, threshold=0.9)
    def test_override(self):
        self.assertEqual(self.hc.bind(AI).threshold, 0.9)

    def test_without(self):
        self.assertEqual(self.hc.bind(AI).threshold, 0.5)

class ServersCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = cls.enterClassContext(servers())

    def test_client(self):
        hc = self.enterContext(self.servers.client())
        self.assertEqual(hc.bind(AI).threshold, 0.75)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "conftest.py").write_text("import sys; sys.path.insert(0, __file__.rpartition('/')[0])\n")
    return tmp_path


def write(directory: Path, **modules: str) -> None:
    for name, text in modules.items():
        (directory / f"{name}.py").write_text(text)


@pytest.fixture
def given(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> dict[str, str]:
    """What the environment says where there are servers already."""
    return {"HOTCONFIG_TEST_DATABASE_URL": postgres.url, "HOTCONFIG_TEST_REDIS_URL": valkey.url}


def test_it_is_declared_under_a_name_that_can_be_switched_off() -> None:
    assert declared() == {"hotconfig": "hotconfig.testing.plugin"}


def test_memory_and_overrides_need_no_server(directory: Path) -> None:
    write(directory, test_memory=MEMORY)
    run = run_pytest(directory, "-q", "-p", "no:randomly", "-W", "error")
    assert "4 passed" in run.stdout, run.stdout + run.stderr


def test_loading_it_imports_nothing_but_pytest(directory: Path) -> None:
    heavy = "{'redis', 'psycopg', 'pydantic', 'pydantic_settings', 'anyio', 'opentelemetry', 'hotconfig.runtime'}"
    write(
        directory,
        conftest=f"""
import sys
def pytest_sessionfinish():
    assert "hotconfig.testing.plugin" in sys.modules
    found = {heavy} & set(sys.modules)
    print("heavy:", sorted(found))
""",
        test_nothing="def test_nothing(): pass",
    )
    plugins = ("-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:valkey", "-p", "no:celery", "-p", "no:logfire")
    run = run_pytest(directory, "-q", "-s", *plugins)
    assert "heavy: []" in run.stdout, run.stdout + run.stderr


def test_it_can_be_switched_off(directory: Path) -> None:
    write(directory, test_memory=MEMORY)
    run = run_pytest(directory, "-q", "-p", "no:hotconfig")
    assert "fixture 'hotconfig_memory' not found" in run.stdout


def test_servers_that_are_there_are_used_and_left_as_they_were(
    directory: Path, given: dict[str, str], postgres: EmbeddedPostgres
) -> None:
    write(directory, test_client=CLIENT)
    run = run_pytest(directory, "-q", "-W", "error", environment=given)
    assert "4 passed" in run.stdout, run.stdout + run.stderr
    assert schemas(postgres) == []


def test_workers_of_xdist_share_a_database_and_not_a_schema(
    directory: Path, given: dict[str, str], postgres: EmbeddedPostgres
) -> None:
    write(directory, test_client=CLIENT, test_memory=MEMORY)
    run = run_pytest(directory, "-q", "-n", "2", environment=given)
    assert "8 passed" in run.stdout, run.stdout + run.stderr
    assert schemas(postgres) == []


def test_without_servers_embedded_ones_are_started(directory: Path) -> None:
    write(directory, test_client=CLIENT)
    run = run_pytest(directory, "-q", "test_client.py::test_client[1]")
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_a_database_alone_is_enough(directory: Path, given: dict[str, str]) -> None:
    write(directory, test_client=CLIENT)
    del given["HOTCONFIG_TEST_REDIS_URL"]
    run = run_pytest(directory, "-q", environment=given)
    assert "4 passed" in run.stdout, run.stdout + run.stderr


def test_a_redis_alone_is_a_mistake(directory: Path, given: dict[str, str]) -> None:
    write(directory, test_client=CLIENT)
    del given["HOTCONFIG_TEST_DATABASE_URL"]
    run = run_pytest(directory, "-q", environment=given)
    assert "HOTCONFIG_TEST_DATABASE_URL is not: set both" in run.stdout


def test_where_there_is_nothing_tests_are_skipped_and_told_what_is_missing(directory: Path) -> None:
    missing = f"import sys; sys.modules['psutil'] = None; sys.path.insert(0, {str(directory)!r})\n"
    write(directory, test_client=CLIENT, conftest=missing)
    run = run_pytest(directory, "-q", "-rs")
    assert "4 skipped" in run.stdout, run.stdout + run.stderr
    assert "pip install 'hotconfig[demo]'" in run.stdout


def test_unittest_needs_no_plugin(directory: Path, given: dict[str, str]) -> None:
    write(directory, test_cases=UNITTEST)
    run = run_pytest(directory, "-v", environment=given, module="unittest")
    assert "Ran 3 tests" in run.stderr, run.stdout + run.stderr
    assert run.stderr.rstrip().endswith("OK")


def schemas(postgres: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'hotconfig_test%'").fetchall()
    return [str(row[0]) for row in rows]
