"""A process that is restarted when a mounted file changes, by the command line of watchfiles."""

from __future__ import annotations

import os
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Final

from benchmarks.meters import family_cpu_s
from benchmarks.turns import ROUND
from benchmarks.ways.mount import Mount

_PROGRAM: Final = Path(__file__).with_name("service.py")
_WITHIN_S: Final = 60.0
_STAMP: Final = struct.Struct("<qd")
_SETTLE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Restarts:
    """How late each change was seen, how long nobody served meanwhile, and what a restart costs."""

    late_ms: list[float]
    down_ms: list[float]
    cpu_ms: float


def restarts(count: int) -> Restarts:
    """Change the file so often, each time after the service has come back."""
    late_ms, down_ms = [], []
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        address = f"{directory}/told"
        told.bind(address)
        told.settimeout(_WITHIN_S)
        mounted = Path(directory, "config")
        mounted.mkdir()
        mount = Mount(mounted, "threshold", "0.75")
        with _supervised(mounted, address) as supervisor:
            _seen(told, 0.75)
            time.sleep(_SETTLE_S)  # watchfiles begins to watch after it has started the program
            before_s = family_cpu_s(supervisor.pid)
            for number in range(1, count + 1):
                mount.swap(str(number))
                swapped_ns = monotonic_ns()
                seen_ns, ended_ns = _seen(told, number)
                late_ms.append((seen_ns - swapped_ns) / 1e6)
                down_ms.append((seen_ns - ended_ns) / 1e6)
                ROUND.get()(number, count)
                time.sleep(_SETTLE_S)
            cpu_ms = (family_cpu_s(supervisor.pid) - before_s) * 1e3 / count
            supervisor.terminate()
            supervisor.wait(_WITHIN_S)
    return Restarts(late_ms, down_ms, cpu_ms)


def _supervised(mounted: Path, address: str) -> subprocess.Popen[bytes]:
    command = shlex.join([sys.executable, str(_PROGRAM), str(mounted), address])
    return subprocess.Popen(
        [sys.executable, "-m", "watchfiles", "--target-type", "command", command, str(mounted)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _seen(told: socket.socket, value: float) -> tuple[int, int]:
    """When a process had this value, and when the one before it was told to end (ns)."""
    ended_ns = 0
    while True:
        at_ns, found = _STAMP.unpack(told.recv(_STAMP.size))
        if found == value:
            return at_ns, ended_ns
        if found < 0:
            ended_ns = at_ns
