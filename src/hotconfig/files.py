"""Files that only their owner may write, replaced whole: for the last-known-good files.

Owns how one is opened, checked, written and renamed. Must not know what is in it. Blocks on the disk; never called by
the line's thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Final

from hotconfig.core.errors import LastKnownGoodError
from hotconfig.core.lastgood import MAX_BYTES, Refusal, refused

_PARTIAL: Final = ".partial"
_LEFT_BEHIND_S: Final = 60.0
"""A partial file older than this is what a crash left behind; writing one takes far less."""


def read(path: Path) -> bytes:
    """A file's content, if it is a regular file of this user that nobody else may write.

    Raises:
        LastKnownGoodError: it is missing, cannot be read, or is not such a file.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # neither a link, nor a pipe to wait at
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise refused(Refusal.MISSING, path, "there is none; it is written once PostgreSQL has answered") from None
    except OSError as error:
        # ELOOP is what O_NOFOLLOW says of a link. Looking at the path again may be refused as well, and would raise.
        reason = Refusal.NOT_A_FILE if error.errno == errno.ELOOP else Refusal.UNREADABLE
        raise refused(reason, path, error.strerror or type(error).__name__) from error
    try:
        _check(os.fstat(descriptor), path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise refused(Refusal.UNREADABLE, path, error.strerror or type(error).__name__) from error
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the file's place, all or nothing, readable and writable by this user alone.

    The directory is made if need be. Survives a crash at any step: there is the old file or the new one.

    Raises:
        LastKnownGoodError: it cannot be written: no space, no permission, a read-only disk.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_PARTIAL}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _write(partial, content)
            os.replace(partial, path)  # noqa: PTH105 - as the module says it everywhere
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise LastKnownGoodError(
            f"the last-known-good file {path} cannot be written: {error.strerror or type(error).__name__}; "
            "give HOTCONFIG_LAST_KNOWN_GOOD a directory that this user may write",
            "unwritable",
        ) from error


def sweep(directory: Path) -> None:
    """Remove what crashed writers left behind. What cannot be removed stays."""
    with contextlib.suppress(OSError):
        for partial in directory.glob(f".*{_PARTIAL}"):
            if time.time() - partial.lstat().st_mtime > _LEFT_BEHIND_S:
                partial.unlink()


def _check(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise refused(Refusal.NOT_A_FILE, path, "it is a directory, a pipe or a device")
    if found.st_uid != os.geteuid():
        raise refused(Refusal.FOREIGN_OWNER, path, f"it belongs to user {found.st_uid}, not to {os.geteuid()}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(found.st_mode)
        raise refused(Refusal.WRITABLE_BY_OTHERS, path, f"its mode is {mode:04o}; only its owner may write it")
    if found.st_size > MAX_BYTES:
        raise refused(Refusal.TOO_LARGE, path, f"it has {found.st_size} bytes, more than {MAX_BYTES}")


def _write(partial: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(partial, flags, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
