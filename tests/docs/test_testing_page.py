"""The files that docs/testing.md shows, written down and run by pytest and by unittest, as a reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.support.plugged import ROOT, run_pytest

FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = ROOT / "docs" / "testing.md"
PROGRAM = re.compile(r'^```python title="([\w.]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, text in FILE.findall(PAGE.read_text()):
        assert not (tmp_path / name).exists(), f"{name} stands on the page twice"
        (tmp_path / name).write_text(text)
    for name, text in PROGRAM.findall((ROOT / "docs" / "frameworks.md").read_text()):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_block_of_the_page_is_a_file() -> None:
    assert len(FILE.findall(PAGE.read_text())) == len(re.findall(r"^```python$", PAGE.read_text(), re.MULTILINE)) > 8


def test_every_file_of_the_page_runs(directory: Path, postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    servers = {"HOTCONFIG_TEST_DATABASE_URL": postgres.url, "HOTCONFIG_TEST_REDIS_URL": valkey.url}
    run = run_pytest(directory, "-q", "-p", "no:randomly", "--import-mode=prepend", environment=servers)
    tests = sum(file.read_text().count("def test_") for file in directory.glob("test_*.py"))
    assert re.search(rf"^{tests} passed", run.stdout, re.MULTILINE), run.stdout + run.stderr
    run = run_pytest(directory, "test_cases", environment=servers, module="unittest")
    assert run.stderr.rstrip().endswith("OK"), run.stdout + run.stderr
