"""Files that only their owner may write: what is refused, and that there is the old file or the new one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from hotconfig import files
from hotconfig.core.errors import LastKnownGoodError
from hotconfig.core.lastgood import Refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "ai.lastgood"


def reason_of(path: Path) -> Refusal:
    with pytest.raises(LastKnownGoodError, match=path.name) as caught:
        files.read(path)
    return Refusal(caught.value.reason)


def test_what_is_replaced_is_read_back_and_belongs_to_this_user_alone(path: Path) -> None:
    for content in (b"one", b"", b"three" * 100_000):
        files.replace(path, content)
        assert files.read(path) == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_the_mode_does_not_depend_on_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        files.replace(path, b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_file_is_said_to_be_missing(path: Path) -> None:
    assert reason_of(path) is Refusal.MISSING


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(path: Path, mode: int) -> None:
    files.replace(path, b"x")
    path.chmod(mode)
    assert reason_of(path) is Refusal.WRITABLE_BY_OTHERS


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.replace(path, b"x")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert reason_of(path) is Refusal.FOREIGN_OWNER


def test_a_symbolic_link_is_not_followed_and_replaced_itself(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    path.parent.mkdir()
    path.symlink_to(elsewhere)
    assert reason_of(path) is Refusal.NOT_A_FILE
    files.replace(path, b"new")
    assert (files.read(path), elsewhere.read_bytes()) == (b"new", b"untouched")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_and_not_waited_at(path: Path, make: object) -> None:
    path.parent.mkdir()
    assert callable(make)
    make(path)
    assert reason_of(path) is Refusal.NOT_A_FILE


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG, errno.EIO])
def test_a_file_that_cannot_be_opened_is_said_to_be_unreadable(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    files.replace(path, b"x")
    with monkeypatch.context() as refusing:
        for call in ("open", "stat", "lstat", "readlink"):  # the directory may not be entered: nothing of it is known
            refusing.setattr(os, call, refuse)
        reason = reason_of(path)
    assert reason is Refusal.UNREADABLE


def test_a_file_beyond_all_measure_is_refused_without_reading_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.replace(path, b"xxxx")
    monkeypatch.setattr(files, "MAX_BYTES", 3)
    assert reason_of(path) is Refusal.TOO_LARGE


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    files.replace(path, b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(LastKnownGoodError, match=r"No space left on device.*HOTCONFIG_LAST_KNOWN_GOOD") as caught:
            files.replace(path, b"new")
    assert caught.value.reason == "unwritable"
    assert files.read(path) == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_is_no_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LastKnownGoodError, match="cannot be written"):
        files.replace(tmp_path / "file" / "ai.lastgood", b"x")


def test_what_crashed_writers_left_behind_is_swept_and_nothing_else(path: Path) -> None:
    files.replace(path, b"x")
    old, fresh = (path.with_name(f".ai.lastgood.{number}.partial") for number in (1, 2))
    for partial in (old, fresh):
        partial.write_bytes(b"half")
    os.utime(old, (0, 0))
    files.sweep(path.parent)
    assert sorted(path.parent.iterdir()) == sorted([path, fresh])
    files.sweep(path.parent / "not there")
