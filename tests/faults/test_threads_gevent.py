"""gevent: the background threads are greenlets, and nothing blocks the hub. Patched too late, it is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel

import hotconfig
from tests.faults.running import PATIENCE_S, complaints, environment, python, running


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("way_in", ["Redis", "LISTEN"])
def test_a_service_on_gevent_is_live_and_no_greenlet_waits_for_it(
    migrated_url: str, redis_url: str, writer: hotconfig.HotConfig, when: str, way_in: str
) -> None:
    ours = writer.bind(Served)
    variables = environment(migrated_url, redis_url if way_in == "Redis" else "")
    with running(python("tests.faults.programs.greenlets", when), variables) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        writer.store.set(ours, number=7, by="a test")
        output, errors = program.communicate(timeout=PATIENCE_S)
    assert complaints(errors) == []
    ended = json.loads(output)
    assert (ended["told"], ended["state"]) == ([1, 2, 3, 7], "READY")
    assert ended["redis"] == ("connected" if way_in == "Redis" else "unused")


def test_gevent_patched_after_psycopg_was_imported_is_refused(migrated_url: str, tmp_path: Path) -> None:
    command = python("tests.faults.programs.greenlets", "late")
    refused = subprocess.run(
        command, env=environment(migrated_url, ""), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert refused.returncode == 1
    assert "ConfigurationError: gevent.monkey.patch_all() was called after psycopg" in refused.stderr
    assert "before all other imports" in refused.stderr
