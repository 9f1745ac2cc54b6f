"""Run directories: one per embedded server, below one base directory per operating-system user.

Owns who a directory belongs to and what becomes of it when that process is dead. A directory is left alone
while its guard holds the directory's lock, or while its owner lives, known by process id *and* start time.
When both are gone, the next start ends the server that was left over and removes the directory. Before a
process is signalled, its command line must name the directory, whose random name no other process has.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import psutil

from hotconfig.core.errors import EmbeddedServerError
from hotconfig.embedded.account import Account, is_reachable
from hotconfig.embedded.guard import LOCK, RECORD, remove_tree

_OWNER: Final = "owner.json"
_SAME_START_S: Final = 2.0
"""psutil computes start times from the wall clock's idea of the boot time, which may be stepped a little."""


def base_directory(account: Account | None, chosen: Path | None = None) -> Path:
    """Return the base directory, made if need be: ``chosen``, or one per user below the temporary directory.

    Raises:
        EmbeddedServerError: somebody else owns it, or ``account`` could not pass through it.
    """
    base = chosen.resolve() if chosen else _temporary_directory(account) / f"hotconfig-embedded-{os.geteuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EmbeddedServerError(f"{base} belongs to another user: remove it, or set TMPDIR to another directory")
    if account is not None:
        base.chmod(found.st_mode | stat.S_IXOTH)
        if not is_reachable(base):
            raise EmbeddedServerError(f"the account {account.name!r} cannot pass through to {base}: choose another one")
    return base


def _temporary_directory(account: Account | None) -> Path:
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - checked below
    for candidate in candidates:
        if account is None or (candidate.is_dir() and is_reachable(candidate)):
            return candidate
    raise EmbeddedServerError("no temporary directory can be reached by every user: set TMPDIR to one that can")


def claim(base: Path, account: Account | None) -> Path:
    """Clear up behind dead owners, then return a new directory that this process owns."""
    with _locked(base):
        reap(base)
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=base))
        me = psutil.Process()
        (directory / _OWNER).write_text(json.dumps({"pid": me.pid, "started": me.create_time()}))
    if account is not None:
        directory.chmod(0o711)
    return directory


def reap(base: Path) -> None:
    """End the servers and remove the directories whose owner and guard are both dead."""
    for directory in base.glob("run-*"):
        if not _owner_lives(directory) and not _guard_lives(directory):
            end_server(directory)
            remove_tree(directory)


def end_server(directory: Path) -> None:
    """End the server recorded in ``directory``, if it is running and really is the one."""
    try:
        record = json.loads((directory / RECORD).read_text())
        process = psutil.Process(record["pid"])
        if not any(str(directory) in argument for argument in process.cmdline()):
            return
        family = [process, *process.children(recursive=True)]
        for name, patience_s in record["abrupt"]:
            process.send_signal(signal.Signals[name])
            if wait_gone(family, patience_s):
                break
    except (FileNotFoundError, ValueError, psutil.Error):
        return  # nothing recorded, half a record, gone meanwhile, or somebody else's: there is nothing to end


def wait_gone(family: list[psutil.Process], timeout_s: float) -> bool:
    """Wait until none of ``family`` can hold files or memory any more, and tell whether that came to pass."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while any(map(_holds_anything, family)):
        if time.monotonic() > deadline:
            return False
        pause.wait(0.01)
    return True


def _holds_anything(process: psutil.Process) -> bool:
    """Tell whether ``process`` is more than a zombie, which some containers never reap."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _owner_lives(directory: Path) -> bool:
    try:
        owner = json.loads((directory / _OWNER).read_text())
        started = psutil.Process(owner["pid"]).create_time()
    except (FileNotFoundError, ValueError, psutil.Error):
        return False
    return bool(abs(started - owner["started"]) < _SAME_START_S)


def _guard_lives(directory: Path) -> bool:
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextlib.contextmanager
def _locked(base: Path) -> Generator[None]:
    """Hold the base directory's lock, so that nobody sees a directory before it has an owner."""
    lock = os.open(base / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
