"""The process that outlives its parent just long enough to clear up after it.

Run as a plain script, ``python -I -S guard.py``, with the standard library only, so that it is up within some
40 ms. It is the parent process of one server at a time, so the server's process id cannot be reused behind
its back. Its own parent talks to it in lines of JSON on standard input::

    {"start": [...], "user": 65534, "group": 65534, "stop": [["SIGINT", 10]], "abrupt": [["SIGQUIT", 3]]}
    {"stop": true}        end the server as ``stop`` says
    {"finish": true}      the same, then remove the directory and end

and hears ``{"pid": 1}``, ``{"exit": 0}`` and ``{"error": "..."}`` on standard output. When standard input
ends, or the parent process is another one than at the beginning, then the parent has died: the server is
ended as ``abrupt`` says and the directory removed. The second sign is needed because a forked child of the
parent keeps the pipe open.

Must not know what it runs, and must not import anything of hotconfig.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

LOCK: Final = "lock"
"""Held (``flock``) by the guard of a directory as long as it lives: whoever gets it knows it is dead."""

RECORD: Final = "server.json"
"""Who runs in the directory: ``{"pid": ..., "abrupt": [...]}``; gone when nobody does."""

LOG: Final = "server.log"
PARENT_CHECK_S: Final = 0.5
KILL: Final = ("SIGKILL", 5.0)


class Guard:
    """Runs one server in ``directory`` for the process ``parent``."""

    def __init__(self, directory: Path, parent: int) -> None:
        self.directory = directory
        self.parent = parent
        self.child: subprocess.Popen[bytes] | None = None
        self.order: dict[str, Any] = {}
        self.unread: bytes = b""
        self.wakeup: int
        self.wakeup, write_end = os.pipe()
        os.set_blocking(write_end, False)
        os.set_blocking(self.wakeup, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def run(self) -> int:
        """Obey until told to finish, or until the parent is gone. Returns the exit status."""
        while True:
            orders = self._next_orders()
            self._notice_exit()
            if orders is None:
                self._end("abrupt")
                break
            for order in orders:
                if "start" in order:
                    self._start(order)
                else:
                    self._end("stop")
                if "finish" in order:
                    return self._remove_directory()
        return self._remove_directory()

    def _next_orders(self) -> list[dict[str, Any]] | None:
        """Wait a little for orders; ``None``: the parent is gone, or this process was told to end."""
        ready, _, _ = select.select([0, self.wakeup], [], [], PARENT_CHECK_S)
        if self.wakeup in ready and signal.SIGTERM in os.read(self.wakeup, 512):
            return None
        if 0 in ready:
            received = os.read(0, 65536)
            if not received:
                return None
            self.unread += received
        if os.getppid() != self.parent:
            return None
        *lines, self.unread = self.unread.split(b"\n")
        return [json.loads(line) for line in lines]

    def _start(self, order: dict[str, Any]) -> None:
        self.order = order
        try:
            with (self.directory / LOG).open("ab") as log:
                # Its own session: Ctrl-C at the terminal reaches the parent alone, which stops us in order.
                child = subprocess.Popen(  # noqa: S603 - the parent's own command
                    order["start"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.directory,
                    start_new_session=True,
                    user=order["user"],
                    group=order["group"],
                    extra_groups=None if order["user"] is None else [],
                )
        except (OSError, subprocess.SubprocessError) as error:
            tell({"error": str(error)})
            return
        self.child = child
        record = {"pid": child.pid, "abrupt": [*order["abrupt"], KILL]}
        (self.directory / RECORD).write_text(json.dumps(record))
        tell({"pid": child.pid})

    def _notice_exit(self) -> None:
        if self.child is not None and self.child.poll() is not None:
            self._forget(self.child)

    def _end(self, manner: str) -> None:
        """End the server by the signals of ``manner``, one after the other, each with its time to work."""
        if (child := self.child) is None:
            return
        for name, patience_s in [*self.order[manner], KILL]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.Signals[name])
            try:
                child.wait(patience_s)
                break
            except subprocess.TimeoutExpired:
                continue
        self._forget(child)

    def _forget(self, child: subprocess.Popen[bytes]) -> None:
        self.child = None
        (self.directory / RECORD).unlink(missing_ok=True)
        tell({"exit": child.returncode})

    def _remove_directory(self) -> int:
        remove_tree(self.directory)
        return 0


def remove_tree(directory: Path) -> None:
    """Remove ``directory``; waits up to 2 s for dying processes that still write into it."""
    for _ in range(40):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.05)


def tell(news: dict[str, Any]) -> None:
    """Write one line to the parent. A parent that is gone does not read it."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(news).encode() + b"\n")


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the number is read from the wake-up pipe."""


def main() -> int:
    """Take the directory's lock and guard it. Arguments: the directory and the parent's process id."""
    directory, parent = Path(sys.argv[1]), int(sys.argv[2])
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    guard = Guard(directory, parent)
    signal.signal(signal.SIGCHLD, _wake)
    signal.signal(signal.SIGTERM, _wake)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return guard.run()


if __name__ == "__main__":
    sys.exit(main())
