"""The suite's end of a library's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.using import DATABASE, REDIS, Servers
from benchmarks.results import UnavailableError

PYTHON: Final = "HOTCONFIG_BENCH_PEERS_PYTHON"
_HOME: Final = Path(__file__).parents[2]


_PIPES: Final[Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}


class Asked:
    """A library's process. ``asked("read", 5)`` has it measured so many times."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name
        self.version: str = _answer(process, name)["version"]

    def __call__(self, what: str, count: int) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {count}\n")
        self._process.stdin.flush()
        found: list[float] = _answer(self._process, self._name)
        return found


@contextmanager
def asking(name: str, servers: Servers) -> Generator[Asked]:
    """Run a library in a process of its own.

    Raises:
        UnavailableError: it is not installed, or cannot be set up.
    """
    with _process(_command(name), servers, subprocess.PIPE) as process:
        yield Asked(process, name)


def start(name: str, servers: Servers) -> tuple[float, float]:
    """How long its import takes in a new interpreter (ms), and what is resident for it once it was read (MB).

    Raises:
        UnavailableError: it ended without an answer.
    """
    with _process([*_command(name), "start"], servers, subprocess.DEVNULL) as process:
        import_ms, resident_mb = _answer(process, name)
    return import_ms, resident_mb


@contextmanager
def _process(command: Sequence[str], servers: Servers, stdin: int) -> Generator[subprocess.Popen[str]]:
    """Run it until the block ends; what it leaves among the temporary files goes too."""
    with tempfile.TemporaryDirectory(prefix="hotconfig-peer-") as temporary:
        environ = _environ(servers) | {"TMPDIR": temporary}
        with subprocess.Popen(command, env=environ, stdin=stdin, **_PIPES) as process:
            try:
                yield process
            finally:
                process.kill()
                process.wait()


def _answer(process: subprocess.Popen[str], name: str) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise UnavailableError(f"{name} ended by itself: python -m benchmarks.peers tells why")
    found = json.loads(line)
    if isinstance(found, dict) and "absent" in found:
        raise UnavailableError(found["absent"])
    return found


def _command(name: str) -> list[str]:
    return [os.environ.get(PYTHON) or sys.executable, "-m", "benchmarks.peers", name]


def _environ(servers: Servers) -> dict[str, str]:
    """Another environment has its own packages; only the suite is lent to it. URLs stay out of the command line."""
    path = str(_HOME) if os.environ.get(PYTHON) else os.pathsep.join(filter(None, sys.path))
    given = {"PYTHONPATH": path, REDIS: servers.redis_url, DATABASE: servers.database_url}
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | given
