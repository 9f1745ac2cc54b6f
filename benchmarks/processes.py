"""Processes of the suite's own: an arm that is measured does not share an interpreter with the other arm.

A worker measures where it runs and answers with numbers. A subscriber says when it had stored which value.
"""

from __future__ import annotations

import logging
import multiprocessing
import struct
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from time import monotonic_ns
from typing import Any, Final

_SPAWN: Final = multiprocessing.get_context("spawn")
_START_WITHIN_S: Final = 120.0
_ANSWER_WITHIN_S: Final = 60.0
_SEEN_WITHIN_S: Final = 10.0
_END_WITHIN_S: Final = 10.0
_STAMP: Final = struct.Struct("<qd")

Arm = Callable[[int], list[float]]
MakeArm = Callable[..., AbstractContextManager[Arm]]
Seen = tuple[int, float]
"""When, on the monotonic clock that all processes of a machine share (ns), and which value."""


class SilentError(Exception):
    """A process of the suite did not answer in time."""


@contextmanager
def worker(make: MakeArm, *args: Any) -> Generator[Arm]:
    """Run ``make(*args)`` in a process of its own. Lends a function that has it measure so many times."""
    with _running(_serve, make, *args) as (connection, _):
        _expect(connection, _START_WITHIN_S)
        connection.recv_bytes()

        def measure(size: int) -> list[float]:
            connection.send(size)
            _expect(connection, _ANSWER_WITHIN_S)
            try:
                answer: list[float] = connection.recv()
            except EOFError:
                raise SilentError("a process of the suite ended; what it said is above") from None
            return answer

        yield measure


class Subscriber:
    """The near end of a subscriber process."""

    def __init__(self, connection: Connection, pid: int) -> None:
        self._connection = connection
        self.pid = pid

    def seen(self, timeout_s: float = _SEEN_WITHIN_S) -> Seen:
        """Wait for the next stamp."""
        _expect(self._connection, timeout_s)
        at_ns, value = _STAMP.unpack(self._connection.recv_bytes())
        return at_ns, value

    def seen_by_now(self) -> list[Seen]:
        """The stamps that have arrived; does not wait."""
        found: list[Seen] = []
        while self._connection.poll(0):
            found.append(self.seen())
        return found


class Stamps:
    """The far end: says that a value is stored now."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ready(self) -> None:
        """Say that messages are heard from now on."""
        self._connection.send_bytes(b"")

    def stamp(self, value: float) -> None:
        """Take the time, then send it."""
        self._connection.send_bytes(_STAMP.pack(monotonic_ns(), value))


@contextmanager
def subscriber(run: Callable[..., None], *args: Any) -> Generator[Subscriber]:
    """Run ``run(stamps, *args)`` in a process of its own until the block ends."""
    with _running(_subscribe, run, *args) as (connection, pid):
        _expect(connection, _START_WITHIN_S)
        connection.recv_bytes()
        yield Subscriber(connection, pid)


@contextmanager
def _running(target: Callable[..., None], *args: Any) -> Generator[tuple[Connection, int]]:
    near, far = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(far, *args), daemon=True)
    process.start()
    far.close()
    try:
        assert process.pid is not None
        yield near, process.pid
    finally:
        near.close()
        process.terminate()
        process.join(_END_WITHIN_S)


def _be_quiet() -> None:
    """Keep what hotconfig logs off the terminal: on a machine at its limits, a thousand lines are a load as well."""
    logger = logging.getLogger("hotconfig")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False


def _serve(connection: Connection, make: MakeArm, *args: Any) -> None:
    _be_quiet()
    with make(*args) as arm:
        connection.send_bytes(b"")
        while True:
            try:
                size = connection.recv()
            except EOFError:
                return
            connection.send(arm(size))


def _subscribe(connection: Connection, run: Callable[..., None], *args: Any) -> None:
    _be_quiet()
    run(Stamps(connection), *args)


def _expect(connection: Connection, timeout_s: float) -> None:
    if not connection.poll(timeout_s):
        raise SilentError(f"a process of the suite said nothing for {timeout_s:g} s")
