"""The suite's end of a library's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.results import UnavailableError

PYTHON: Final = "HOTCONFIG_BENCH_PEERS_PYTHON"
_HOME: Final = Path(__file__).parents[2]
_WITHIN_S: Final = 60.0

Ask = Callable[[str, int], list[float]]


@contextmanager
def asking(name: str, redis_url: str) -> Generator[Ask]:
    """Run a library in a process of its own. ``ask("read", 5)`` has it measured so many times.

    Raises:
        UnavailableError: it is not installed, or cannot be set up.
    """
    with subprocess.Popen(_command(name, redis_url), env=_environ(), **_PIPES) as process:
        try:
            _answer(process, name)

            def ask(what: str, count: int) -> list[float]:
                assert process.stdin is not None
                process.stdin.write(f"{what} {count}\n")
                process.stdin.flush()
                return _answer(process, name)

            yield ask
        finally:
            process.kill()


def start(name: str, redis_url: str) -> tuple[float, float]:
    """How long its import takes in a new interpreter (ms), and what is resident for it once it was read (MB)."""
    command = [*_command(name, redis_url), "start"]
    ended = subprocess.run(
        command, check=True, env=_environ(), capture_output=True, text=True, timeout=_WITHIN_S, stdin=subprocess.DEVNULL
    )
    import_ms, resident_mb = json.loads(ended.stdout)
    return import_ms, resident_mb


_PIPES: Final[Any] = {
    "stdin": subprocess.PIPE,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.DEVNULL,
    "text": True,
}


def _answer(process: subprocess.Popen[str], name: str) -> list[float]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise UnavailableError(f"{name} ended by itself: python -m benchmarks.peers tells why")
    found = json.loads(line)
    if isinstance(found, dict):
        raise UnavailableError(found["absent"])
    return list(found)


def _command(name: str, redis_url: str) -> list[str]:
    return [os.environ.get(PYTHON) or sys.executable, "-m", "benchmarks.peers", name, redis_url]


def _environ() -> dict[str, str]:
    """Another environment has its own packages; only the suite is lent to it."""
    own = not os.environ.get(PYTHON)
    path = os.pathsep.join(filter(None, sys.path)) if own else str(_HOME)
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPATH": path
    }
