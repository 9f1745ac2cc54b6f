"""Earlier states of this repository, to run beside the present one."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def source_before(path: str, into: Path) -> Path:
    """Lay ``src`` as it was before it had the file ``path`` below ``into``; without history skip the test."""
    found = _git("log", "--diff-filter=A", "--format=%H", "--", path)
    introduced = (found or b"").decode().split()
    archive = _git("archive", f"{introduced[-1]}^", "src") if introduced else None
    if archive is None:
        pytest.skip("needs the repository's history: this is no clone, or a shallow one")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(into, filter="data")
    return into / "src"


def _git(*arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
