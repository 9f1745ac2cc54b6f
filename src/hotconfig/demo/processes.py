"""The demo's end of the pipes to its subscriber processes.

Owns starting, asking and ending them. Must not know services, servers or how figures are shown.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from hotconfig.core.errors import ConfigurationError
from hotconfig.demo.protocol import (
    ORDERS,
    REPORTS,
    SEEN_WITHIN_S,
    SHOWN_WITHIN_S,
    Answer,
    Arrived,
    Follow,
    Level,
    Order,
    Ready,
    Report,
    Seen,
    Show,
    Shown,
    Watch,
    Watching,
)

NAMES: Final = ("A", "B")
READY_WITHIN_S: Final = 60.0
END_WITHIN_S: Final = 5.0
GRACE_S: Final = 1.0
"""Beyond the time after which a living process answers by itself."""

A = TypeVar("A", bound=Answer)


class Subscribers:
    """Two processes of ``hotconfig.demo.subscriber``, A and B, from their start to :meth:`close`. For one thread.

    A process that has died is told on standard error by itself; here it counts as one that sees nothing any more.

    Args:
        environment: Variables that the processes get besides this process's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._levels: dict[str, str] = {}
        self._heard: queue.SimpleQueue[tuple[str, Report | None]] = queue.SimpleQueue()
        self._arrived: list[tuple[str, Arrived]] = []
        self._gone: set[str] = set()
        self._number = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name in NAMES:
                self._processes[name] = self._start(name, {**os.environ, **environment})
        except BaseException:
            self.close()
            raise

    def wait_ready(self) -> None:
        """Wait until both have bound their classes.

        Raises:
            ConfigurationError: one ended, or did not get there in time.
        """
        ready = self._gather(Ready, 0, READY_WITHIN_S)
        for name in NAMES:
            if name not in ready:
                raise ConfigurationError(f"subscriber process {name} did not start; its own message stands above")

    def show(self, revisions: Mapping[str, int]) -> bool:
        """Wait until both show these revisions; False if they do not."""
        self._number += 1
        self._order(Show(self._number, dict(revisions)))
        shown = self._gather(Shown, self._number, SHOWN_WITHIN_S + GRACE_S)
        return len(shown) == len(NAMES) and all(answer.ok for answer in shown.values())

    def watch(self, service: str, key: str, text: str | None) -> None:
        """Return when both are looking at the attribute; then ask :meth:`seen`."""
        self._number += 1
        self._order(Watch(self._number, service, key, text))
        self._gather(Watching, self._number, SEEN_WITHIN_S)

    def seen(self) -> dict[str, int | None]:
        """By process, the moment (``time.monotonic_ns``) at which what it watches was seen; None: it was not."""
        answers = self._gather(Seen, self._number, SEEN_WITHIN_S + GRACE_S)
        return {name: answers[name].at_ns if name in answers else None for name in NAMES}

    def wait_level(self, level: str) -> dict[str, str]:
        """By process, the level of the running logger: once it is ``level`` everywhere, or time is up."""
        deadline_s = time.monotonic() + GRACE_S
        while any(self._levels.get(name) != level for name in set(NAMES) - self._gone):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            self._hear(left_s)
        return dict(self._levels)

    def follow(self) -> Iterator[tuple[str, Arrived]]:
        """Every change that a process sees from now on, with the process's name, until both have died."""
        self._order(Follow())
        while len(self._gone) < len(NAMES):
            self._hear(None)
            yield from self._arrived
            self._arrived.clear()

    def close(self) -> None:
        """End the processes: their input ends, which is all they wait for."""
        for process in self._processes.values():
            _end_input(process)
        for process in self._processes.values():
            try:
                process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        # -P: a file called redis.py in the current directory is not to be imported. Its own session: Ctrl-C
        # at the terminal reaches the demo alone, which ends its processes in order.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hotconfig.demo.subscriber"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(name, process), name=f"hotconfig-demo-{name}", daemon=True).start()
        return process

    def _read(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - Popen was given PIPE
        with process.stdout as lines:
            for line in lines:
                self._heard.put((name, REPORTS.validate_json(line)))
        self._heard.put((name, None))

    def _order(self, order: Order) -> None:
        line = ORDERS.dump_json(order) + b"\n"
        for name, process in self._processes.items():
            assert process.stdin is not None  # noqa: S101 - Popen was given PIPE
            try:
                process.stdin.write(line)
                process.stdin.flush()
            except BrokenPipeError:
                self._gone.add(name)

    def _gather(self, kind: type[A], number: int, timeout_s: float) -> dict[str, A]:
        """The answers to order ``number`` from all that live and give one in time."""
        deadline_s = time.monotonic() + timeout_s
        found: dict[str, A] = {}
        while len(found.keys() | self._gone) < len(NAMES):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            name, report = self._hear(left_s)
            if isinstance(report, kind) and report.number == number:
                found[name] = report
        return found

    def _hear(self, timeout_s: float | None) -> tuple[str, Report | None]:
        try:
            name, report = self._heard.get(timeout=timeout_s)
        except queue.Empty:
            return "", None
        match report:
            case None:
                self._gone.add(name)
            case Level():
                self._levels[name] = report.name
            case Arrived():
                self._arrived.append((name, report))
            case _:
                pass
        return name, report


def _end_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101 - Popen was given PIPE
    with contextlib.suppress(BrokenPipeError):  # it has died, and something was still to be written
        process.stdin.close()
