"""The parent's end of the guard process: start, watch and end one server at a time.

Owns the pipe whose end tells the guard that this process is dead. Must not know which server it is.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hotconfig.core.errors import EmbeddedServerError
from hotconfig.embedded import guard as guard_script
from hotconfig.embedded.account import Account

_GUARD_ANSWERS_S: Final = 30.0
"""More than the signals of any one command are given together."""

Patience = tuple[str, float]
"""A signal's name and how many seconds it gets to take effect."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, as whom (``None``: as ourselves), and how to end it in order and when there is no time."""

    argv: tuple[str, ...]
    account: Account | None
    stop: tuple[Patience, ...]
    abrupt: tuple[Patience, ...]


class Supervision:
    """Runs commands in ``directory``, which is removed when :meth:`finish` is called or this process dies.

    Not for use by several threads at a time.
    """

    def __init__(self, directory: Path) -> None:
        """Start the guard.

        Raises:
            EmbeddedServerError: there is no Python interpreter to run it.
        """
        if not sys.executable:
            raise EmbeddedServerError("sys.executable is unknown, so the guard of the embedded servers cannot be run")
        self._directory = directory
        self._unread = b""
        self._pid: int | None = None
        with (directory / guard_script.LOG).open("ab") as log:
            self._guard = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-I", "-S", guard_script.__file__, str(directory), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                cwd=directory,
                env=_environment(),
                start_new_session=True,
            )

    @property
    def guard_pid(self) -> int:
        """The guard's process id."""
        return self._guard.pid

    def pid(self) -> int | None:
        """Return the running command's process id, or ``None`` when it has ended."""
        while (news := self._news(0)) is not None:
            self._take(news)
        return self._pid

    def start(self, command: Command) -> None:
        """Run ``command``; its output goes to the log.

        Raises:
            EmbeddedServerError: it could not be executed.
        """
        account = command.account
        self._tell(
            {
                "start": command.argv,
                "user": account.uid if account else None,
                "group": account.gid if account else None,
                "stop": command.stop,
                "abrupt": command.abrupt,
            }
        )
        news = self._news(_GUARD_ANSWERS_S)
        if news is None or "pid" not in news:
            reason = news["error"] if news else "its guard does not answer"
            raise EmbeddedServerError(f"{command.argv[0]} could not be run: {reason}")
        self._take(news)

    def wait_exit(self, timeout_s: float) -> int:
        """Wait for the command to end and return its exit status.

        Raises:
            EmbeddedServerError: it runs longer than ``timeout_s``, or the guard has died.
        """
        news = self._news(timeout_s)
        if news is None:
            raise EmbeddedServerError(f"the command in {self._directory} did not end within {timeout_s:g} s")
        self._take(news)
        status: int = news["exit"]
        return status

    def stop(self) -> None:
        """End the command in order and keep the directory."""
        if self.pid() is not None:
            self._tell({"stop": True})
            while self._pid is not None:
                self.wait_exit(_GUARD_ANSWERS_S)

    def finish(self) -> bool:
        """End the command in order, remove the directory, end the guard. ``False``: the guard was dead."""
        try:
            self._tell({"finish": True})
            return self._guard.wait(_GUARD_ANSWERS_S) == 0
        except (EmbeddedServerError, subprocess.TimeoutExpired):
            self._guard.kill()
            self._guard.wait()
            return False
        finally:
            self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that the server logged."""
        log = self._directory / guard_script.LOG
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def _take(self, news: dict[str, Any]) -> None:
        self._pid = news.get("pid")

    def _tell(self, order: dict[str, Any]) -> None:
        assert self._guard.stdin is not None  # noqa: S101 - Popen was given PIPE
        try:
            self._guard.stdin.write(json.dumps(order).encode() + b"\n")
        except (BrokenPipeError, ValueError) as error:
            raise EmbeddedServerError(f"the guard of {self._directory} is gone") from error

    def _news(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the guard's next line, or ``None`` after ``timeout_s``."""
        assert self._guard.stdout is not None  # noqa: S101 - Popen was given PIPE
        poll = select.poll()
        poll.register(self._guard.stdout, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            received = os.read(self._guard.stdout.fileno(), 65536)
            if not received:
                raise EmbeddedServerError(f"the guard of {self._directory} is gone")
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        news: dict[str, Any] = json.loads(line)
        return news


def _environment() -> dict[str, str]:
    """Return the environment without the variables that steer PostgreSQL, and with messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LANG": "C", "LC_ALL": "C"}
