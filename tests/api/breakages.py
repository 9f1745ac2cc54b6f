"""What of the public names would break a program written for an earlier state of the repository.

The earlier state comes out of git's objects into a temporary directory: no network, no second work tree.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import griffe

from tests.api.listing import load, public


def newest_tag(root: Path) -> str | None:
    """The newest release that the present commit comes after; None where none is tagged, or there is no git."""
    found = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v*")
    return found.decode().strip() if found else None


def newest_commit(root: Path) -> str | None:
    """The commit that the files here were changed from, abbreviated; None without git."""
    found = _git(root, "rev-parse", "--short", "HEAD")
    return found.decode().strip() if found else None


def breakages(root: Path, reference: str) -> list[str]:
    """One line for each public name that a program could use at ``reference`` and cannot use like that here."""
    archive = _git(root, "archive", reference, "src")
    assert archive is not None, f"git has no src/ at {reference}"
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(directory, filter="data")
        return between(load(Path(directory, "src")), load(root / "src"))


def between(old: griffe.Module, new: griffe.Module) -> list[str]:
    """The same for two loaded packages. What is not importable by a public name may change as it likes."""
    before, after = public(old), public(new)
    gone = [f"{path}: gone" for path in before if path not in after]
    homes = {before[path].canonical_path: path for path in before if path in after}
    return sorted({*gone, *_told(griffe.find_breaking_changes(old, new), homes)})


def _told(found: Iterable[griffe.Breakage], homes: dict[str, str]) -> Iterator[str]:
    for breakage in found:
        where = breakage.obj.canonical_path
        home = next((home for home in homes if where == home or where.startswith(f"{home}.")), None)
        if home is not None and not where.rpartition(".")[2].startswith("_"):
            yield f"{homes[home]}{where.removeprefix(home)}: {_words(breakage)}"


def _words(breakage: griffe.Breakage) -> str:
    changed = f" ({breakage.old_value} → {breakage.new_value})" if breakage.old_value or breakage.new_value else ""
    return f"{breakage.kind.value.lower()}{changed}"


def _git(root: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, check=False, capture_output=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
