"""The life of an embedded server, the same for PostgreSQL and Valkey.

Owns directory, port, password and the order of steps. What is run and when it is ready is the subclass's
business.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from hotconfig.core.errors import EmbeddedServerError
from hotconfig.embedded.account import Account
from hotconfig.embedded.directories import base_directory, claim, end_server, wait_gone
from hotconfig.embedded.guard import remove_tree
from hotconfig.embedded.supervision import Command, Supervision

HOST: Final = "127.0.0.1"
_PORTS: Final = (15_000, 32_000)
"""Below the range from which Linux (32768) and macOS (49152) take the ports of outgoing connections: else a
client that reconnects to a stopped server could be given that port, and keep the server from coming back."""
_READY_WITHIN_S: Final = 60.0
_RANDOM: Final = random.SystemRandom()
"""Not the seeded generator: test runs side by side with the same seed would all try the same ports."""
_POLL_S: Final = 0.01
_PORT_ATTEMPTS: Final = 5


class EmbeddedServer(ABC):
    """One server process with a directory, a port and a password of its own, gone when this process is gone.

    ``directory`` is where the run directory is made (default: one per user below the temporary directory).
    The constructor does nothing. Not for use by several threads at a time; in a forked child ``stop`` does
    nothing and the other methods raise.
    """

    def __init__(self, directory: Path | None = None, *, settings: Mapping[str, str] | None = None) -> None:
        self.label: str = type(self).__name__
        self.password: Final = secrets.token_hex(16)
        self._chosen_base = directory
        self._settings: Final = dict(settings or {})
        self._account: Account | None = None
        self._directory: Path | None = None
        self._supervision: Supervision | None = None
        self._port = 0
        self._owner = 0

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            EmbeddedServerError: there is none for this platform, it does not start, or it runs already.
        """
        self._check_stopped()
        try:
            self.launch()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Do what :meth:`start` can do without waiting; call :meth:`wait_ready` or :meth:`stop` next."""
        self._check_stopped()
        self._owner = os.getpid()
        self._account = self._choose_account()
        self._directory = claim(base_directory(self._account, self._chosen_base), self._account)
        self._supervision = Supervision(self._directory)
        self._prepare()

    def wait_ready(self) -> None:
        """Wait until the launched server answers, at most 60 s."""
        self._finish_preparing()
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._port = _free_port()
            if self._serve(may_fail=attempt < _PORT_ATTEMPTS):
                break
        self._furnish()

    def stop(self) -> None:
        """End the server in order and remove everything it wrote. Harmless when it is not running."""
        directory = self._directory
        if directory is None or os.getpid() != self._owner:
            return
        if self._supervision is None or not self._supervision.finish():
            end_server(directory)
            remove_tree(directory)
        self._supervision = self._directory = None
        self._port = 0

    def halt(self) -> None:
        """End the server in order but keep its data and port, for :meth:`restart`."""
        self._running().stop()

    def kill(self) -> None:
        """End the server and its children by SIGKILL, keep data and port for :meth:`restart`."""
        supervision = self._running()
        process = psutil.Process(self.pid)
        process.suspend()  # or a child that is born now would live on, and keep the server from coming back
        family = [process, *process.children(recursive=True)]
        for member in family:
            _kill(member)
        supervision.wait_exit(_READY_WITHIN_S)
        wait_gone(family, 5.0)

    def restart(self) -> None:
        """Start again on the same port with the same data; a running server is ended in order before."""
        self._running().stop()
        self._serve(may_fail=False)

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            EmbeddedServerError: it is not running.
        """
        pid = self._running().pid()
        if pid is None:
            raise EmbeddedServerError(f"this {self.label} is not running: restart() it")
        return pid

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; stays the same over :meth:`restart`.

        Raises:
            EmbeddedServerError: the server was not started.
        """
        if not self._port:
            raise EmbeddedServerError(f"this {self.label} was not started: start() it first")
        return self._port

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL with the password."""

    @property
    def run_directory(self) -> Path:
        """Where the server keeps its data and log.

        Raises:
            EmbeddedServerError: the server was not started.
        """
        if self._directory is None:
            raise EmbeddedServerError(f"this {self.label} was not started: start() it first")
        return self._directory

    @property
    def guard_pid(self) -> int:
        """The process id of the guard that ends the server when this process dies."""
        return self._running().guard_pid

    @abstractmethod
    def _choose_account(self) -> Account | None:
        """Find the programs, set ``label``, and return the account to run them under."""

    @abstractmethod
    def _prepare(self) -> None:
        """Write files, start commands that prepare the data."""

    @abstractmethod
    def _finish_preparing(self) -> None:
        """Wait for the end of what :meth:`_prepare` started."""

    @abstractmethod
    def _command(self) -> Command:
        """Return the command that serves on ``self.port``."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether the server is ready, without waiting."""

    @abstractmethod
    def _furnish(self) -> None:
        """Do what is due once on a fresh server that answers."""

    def _check_stopped(self) -> None:
        if self._directory is not None:
            raise EmbeddedServerError(f"this {self.label} was started before: stop() it first")

    def _running(self) -> Supervision:
        if self._supervision is None or os.getpid() != self._owner:
            raise EmbeddedServerError(f"this {self.label} was not started by this process: start() it first")
        return self._supervision

    def _serve(self, *, may_fail: bool) -> bool:
        """Run the server until it answers. ``False`` says that somebody else took the port meanwhile."""
        supervision = self._running()
        supervision.start(self._command())
        pause = threading.Event()
        deadline = time.monotonic() + _READY_WITHIN_S
        while supervision.pid() is not None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                break
            pause.wait(_POLL_S)
        if may_fail and not _is_free(self._port):
            return False
        raise self._failure(f"did not become ready on port {self._port}")

    def _failure(self, what: str) -> EmbeddedServerError:
        log = self._running().log_tail()
        return EmbeddedServerError(f"the embedded {self.label} {what}; its log ends with:\n{log}")


def _free_port() -> int:
    for _ in range(1000):
        port = _RANDOM.randint(*_PORTS)
        if _is_free(port):
            return port
    raise EmbeddedServerError(f"no free TCP port between {_PORTS[0]} and {_PORTS[1]} on {HOST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it fell together with its parent
        process.kill()
