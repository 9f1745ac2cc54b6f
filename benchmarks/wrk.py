"""wrk, the load generator, as Debian packages it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.results import UnavailableError

CONNECTIONS: Final = 8
_READY_WITHIN_S: Final = 30.0
_END_WITHIN_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Served:
    """What wrk told."""

    per_second: float
    failed: int
    """Answers that were none, or no success."""


class Wrk:
    """One run of wrk. It begins at once, and goes on for so many seconds."""

    def __init__(self, port: int, seconds: int) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise UnavailableError("no wrk on PATH: apt-get install wrk")
        _await(port)
        self._process = subprocess.Popen(
            [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._seconds = seconds

    def served(self) -> Served:
        """Wait for its end."""
        told, _ = self._process.communicate(timeout=self._seconds + _END_WITHIN_S)
        return parse(told)

    def end(self) -> None:
        """End it where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def parse(told: str) -> Served:
    """Read wrk's report.

    Raises:
        ValueError: there is no rate in it.
    """
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", told, re.MULTILINE)
    if rate is None:
        raise ValueError("wrk told no rate")
    refused = re.search(r"^\s*Non-2xx or 3xx responses: (\d+)", told, re.MULTILINE)
    lost = re.search(r"^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told, re.MULTILINE)
    failed = int(refused[1]) if refused else 0
    return Served(float(rate[1]), failed + (sum(map(int, lost.groups())) if lost else 0))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at present."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _await(port: int) -> None:
    deadline_s = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise UnavailableError("the application did not start") from None
            time.sleep(0.05)
        else:
            return
