"""Clocks may jump: no logic reads the wall clock. And where interpreters are many, hotconfig says so."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

import hotconfig
from tests.faults.running import PATIENCE_S, environment

PACKAGE: Final = Path(hotconfig.__file__).parent

WALL_CLOCK: Final = frozenset(
    {
        *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.strftime"),
        *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    }
)
SHOWN: Final = {
    # Only shown to people, or compared with what another machine wrote.
    "runtime/client.py": "since when it stands as it does",
    "runtime/health.py": "the same, of a line that stands still",
    "runtime/ledger.py": "the same",
    "runtime/keeping.py": "when a last-known-good file was written",
    "runtime/starting.py": "how old such a file is",
    "files.py": "which unfinished files somebody left behind long ago",
    "runtime/measuring.py": "how long a change was on its way from another machine",
    "provisioner/probes.py": "when a tenant was probed",
    "provisioner/preview.py": "what a plan would set as a deadline",
    "testing/memory/truth.py": "when a commit was made, as PostgreSQL's clock says it",
    "testing/kubernetes/api.py": "when an object was made, as the real server says",
    "cli/relaying.py": "when something happened, in a line of output",
    "demo/subscriber.py": "how old a message is",
}


def readings() -> Iterator[str]:
    """The modules that read the wall clock, in whatever way."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Attribute) and ast.unparse(node) in WALL_CLOCK
            imported = isinstance(node, ast.ImportFrom) and any(
                f"{node.module}.{alias.name}" in WALL_CLOCK for alias in node.names
            )
            if named or imported:
                yield path.relative_to(PACKAGE).as_posix()


def test_only_what_is_shown_reads_the_wall_clock() -> None:
    assert set(readings()) == SHOWN.keys()


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


def test_a_clock_that_jumps_to_and_fro_changes_nothing(
    migrated_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = itertools.cycle([0.0, 4e9, 1e9, 2e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    begun_s = time.monotonic()
    with hotconfig.HotConfig(migrated_url, redis_url, timing=hotconfig.Timing(poll_s=0.1, reconcile_s=0.1)) as client:
        settings = client.bind(Served)
        for number in range(1, 20):
            client.wait_for(client.store.set(settings, number=number, by="a test"), 30)
        with pytest.raises(hotconfig.WaitTimeoutError):
            client.wait_for(1000, 0.2)
        assert settings.number == 19
        counters = client.status().counters
        assert client.status().state is hotconfig.State.READY
        assert counters["connection_failures"] == counters["read_failures"] == 0
        assert int(str(counters["reads"])) < 100 + 20 * (time.monotonic() - begun_s), "it does not read without pause"


@pytest.mark.parametrize("first", ["the main interpreter", "the subinterpreter"])
def test_in_a_subinterpreter_the_user_is_told(migrated_url: str, first: str) -> None:
    name = "_interpreters" if importlib.util.find_spec("_interpreters") else "_xxsubinterpreters"
    load = "from hotconfig import HotConfig" if first == "the main interpreter" else ""
    program = (
        f"import {name} as interpreters\n"
        f"{load}\n"
        "number = interpreters.create()\n"
        "try:\n"
        "    program = 'from hotconfig import HotConfig; HotConfig.from_env().start()'\n"
        "    raised = interpreters.run_string(number, program)\n"
        "except Exception as error:\n"
        "    raised = error\n"
        "print(getattr(raised, 'formatted', raised))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(migrated_url, ""),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "subinterpreter" in told.stdout, told.stdout + told.stderr
