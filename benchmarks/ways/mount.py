"""A directory that changes as a mounted ConfigMap does: the kubelet writes a new one beside it and swaps a link.

Made after Kubernetes' ``pkg/volume/util/atomic_writer.go``: ``threshold`` is a link to ``..data/threshold``, and
``..data`` a link to a directory with a time in its name.
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path


class Mount:
    """A mounted ConfigMap with one key, in an empty directory."""

    def __init__(self, directory: Path, key: str, text: str) -> None:
        self.directory = directory
        self._key = key
        self._numbers = count()
        self.swap(text)
        (directory / key).symlink_to(Path("..data", key))

    def swap(self, text: str) -> None:
        """Show another value. It is there when the link has been renamed."""
        data = self.directory / "..data"
        before = data.resolve() if data.exists() else None
        fresh = self.directory / f"..2026_01_01_00_00_00.{next(self._numbers):09}"
        fresh.mkdir()
        (fresh / self._key).write_text(text, encoding="utf-8")
        link = self.directory / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(data)
        if before is not None:
            shutil.rmtree(before)
