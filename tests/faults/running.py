"""Running the programs of :mod:`tests.faults.programs` and reading what their processes wrote down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import psutil

ROOT: Final = Path(__file__).parents[2]
PATIENCE_S: Final = 60.0
"""For what takes a moment on a machine that has nothing else to do."""


def environment(database_url: str, redis_url: str, **more: str) -> dict[str, str]:
    """What a program needs to find hotconfig, the tests and the servers."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    # Python 3.12 warns of every fork of a process with threads.
    warnings = "ignore:This process:DeprecationWarning"
    servers = {"HOTCONFIG_DATABASE_URL": database_url, "HOTCONFIG_REDIS_URL": redis_url}
    return os.environ | servers | {"PYTHONPATH": path, "PYTHONWARNINGS": warnings} | more


class Log:
    """The file into which all processes of one program write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self, kind: str) -> Iterator[dict[str, Any]]:
        for line in self.path.read_text().splitlines():
            entry = json.loads(line)
            if entry["kind"] == kind:
                yield entry

    def born(self) -> set[int]:
        """The processes that wrote down their birth and still live."""
        return {entry["pid"] for entry in self.lines("born") if psutil.pid_exists(entry["pid"])}

    def told(self) -> Mapping[int, list[int]]:
        """What the listener of each process was told."""
        numbers: dict[int, list[int]] = defaultdict(list)
        for entry in self.lines("told"):
            numbers[entry["pid"]].append(entry["number"])
        return numbers

    def all_told(self, pids: set[int], number: int) -> bool:
        return all(number in self.told()[pid] for pid in pids)


@contextmanager
def running(
    command: Sequence[str], variables: Mapping[str, str], errors: IO[bytes] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` in a process group of its own, all of which is ended afterwards, in good or in bad."""
    program = subprocess.Popen(
        command,
        env=dict(variables),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    with program:
        try:
            yield program
        finally:
            _end(program)


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def complaints(errors: bytes) -> list[bytes]:
    """What a program said on its standard error, but for what is true on a machine that has other things to do."""
    slow = (b"changes were shown up to", b"state ")
    return [line for line in errors.splitlines() if not line.startswith(slow)]


def _end(program: subprocess.Popen[bytes]) -> None:
    if program.poll() is None:
        program.terminate()
        with suppress(subprocess.TimeoutExpired):
            program.wait(20)
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
