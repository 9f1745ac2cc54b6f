"""The public names stay as ``public.txt`` has them, and what would break a program is found."""

from __future__ import annotations

from pathlib import Path

import griffe
import pytest

import hotconfig
from tests.api.__main__ import KEPT, ROOT, tell_difference
from tests.api.breakages import between
from tests.api.listing import lines, load, public

SOURCE = """
from hotconfig.inner import Door as Door
from hotconfig.inner import knock as knock

__all__ = ["Door", "knock"]
"""
INNER = '''
class Door:
    """Public."""

    def open(self, key: str, *, wait: float = 1.0) -> bool: ...

    def _hinge(self) -> None: ...


def knock(times: int = 1) -> None: ...


def hidden(needed: int) -> None: ...
'''


def package(folder: Path, inner: str = INNER, source: str = SOURCE) -> griffe.Module:
    """A package named as ours that has nothing but ``inner``."""
    (folder / "hotconfig").mkdir(parents=True)
    (folder / "hotconfig" / "__init__.py").write_text(source)
    (folder / "hotconfig" / "inner.py").write_text(inner)
    return load(folder)


def test_the_public_names_are_those_that_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    present = "".join(f"{line}\n" for line in lines(load(ROOT / "src")))
    assert tell_difference(present) == 0, capsys.readouterr().out


def test_a_difference_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = KEPT.read_text(encoding="utf-8").splitlines(keepends=True)
    assert tell_difference("".join(rest)) == 1
    told = capsys.readouterr().out.splitlines()
    assert f"-{first.rstrip()}" in told
    assert not [line for line in told if line.startswith("+") and not line.startswith("+++")]
    assert "python -m tests.api --write" in told[-1]


def test_every_exported_name_is_listed() -> None:
    assert {f"hotconfig.{name}" for name in hotconfig.__all__} <= public(load(ROOT / "src")).keys()


def test_what_a_class_has_from_a_base_of_ours_is_listed_and_what_it_has_from_elsewhere_is_not() -> None:
    listed = "\n".join(lines(load(ROOT / "src")))
    assert "hotconfig.ChangeStream.aclose()" in listed
    assert "hotconfig.embedded.EmbeddedValkey.stop()" in listed
    assert "with_traceback" not in listed


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("key: str, *", "secret: str, *", "hotconfig.Door.open"),
        ("wait: float = 1.0", "wait: float", "hotconfig.Door.open"),
        ("times: int = 1", "times: int = 1, *, loud: bool", "hotconfig.knock"),
        ("    def open", "    def unlock", "hotconfig.Door.open"),
        ("class Door", "class Gate", "hotconfig.Door"),
    ],
)
def test_what_would_break_a_program_is_told_by_the_name_that_it_uses(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    assert before in INNER
    source = (
        SOURCE if "Gate" not in after else SOURCE.replace("Door as Door", "Gate as Gate").replace('"Door"', '"Gate"')
    )
    found = between(package(tmp_path / "old"), package(tmp_path / "new", INNER.replace(before, after), source))
    assert found
    assert all(line.startswith(told) for line in found), found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("needed: int", "other: str"),
        ("_hinge", "_lock"),
        ("times: int = 1", "times: int = 1, *, loud: bool = False"),
        ("def hidden", "def gone"),
    ],
)
def test_what_breaks_no_program_is_not_told(tmp_path: Path, before: str, after: str) -> None:
    assert before in INNER
    assert between(package(tmp_path / "old"), package(tmp_path / "new", INNER.replace(before, after))) == []
