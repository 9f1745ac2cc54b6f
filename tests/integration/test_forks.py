"""Forked children are live without any call, and take nothing from their parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "programs" / "forking.py"


def test_children_forked_after_start_see_changes_and_the_parent_keeps_its_own(
    migrated_url: str, redis_url: str
) -> None:
    lines = _run(migrated_url, redis_url).splitlines()
    assert lines.count("born") == 3
    assert len({line for line in lines if line.startswith("saw 0.5 in ")}) == 3
    assert lines.count("saw 0.6") == 3
    assert lines.count("exit 0") == 3
    assert lines[-1] == "parent 0.9 0 0", "value, failed connections, failed reads"


def test_children_are_live_where_there_is_no_redis(migrated_url: str) -> None:
    lines = _run(migrated_url, "").splitlines()
    assert lines.count("saw 0.6") == 3
    assert lines[-1] == "parent 0.9 0 0"


def _run(database_url: str, redis_url: str) -> str:
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": database_url,
        "HOTCONFIG_REDIS_URL": redis_url,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    # Python 3.12 warns of every fork of a process with threads; this is about what happens then.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAM)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
