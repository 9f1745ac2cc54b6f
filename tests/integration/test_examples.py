"""The examples are run as a user would run them."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import hotconfig
from hotconfig.postgres.truth import PostgresWriter
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.runtime.publishing import Publisher

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_quickstart_shows_a_change_that_somebody_else_makes(migrated_url: str, redis_url: str) -> None:
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": migrated_url,
        "HOTCONFIG_REDIS_URL": redis_url,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, str(EXAMPLES / "quickstart.py")]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_pass_on, args=[program.stdout, lines], daemon=True).start()
        assert lines.get(timeout=30).startswith("threshold is 0.75")
        assert "Enter" in lines.get(timeout=30)
        _set(migrated_url, redis_url, "0.90")
        assert lines.get(timeout=30) == "ann changed {'threshold'}: threshold is now 0.9\n"
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.wait(timeout=30) == 0


def _pass_on(output: IO[str], lines: queue.Queue[str]) -> None:
    for line in output:
        lines.put(line)


def _set(database_url: str, redis_url: str, text: str) -> None:
    from hotconfig.core.chain import Change

    publisher = Publisher(PostgresWriter(database_url, schema="hotconfig"), RedisAnnouncer(redis_url))
    try:
        commit = publisher.commit("ai", [Change("threshold", text)], by="ann")
    finally:
        publisher.close()
    assert commit == hotconfig.Commit("ai", 1, True, True, ("threshold",), commit.at)
