"""What the fault tests share."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

import hotconfig
from tests.faults.running import Log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty log for the processes of one program."""
    return Log(tmp_path / "log")


@pytest.fixture
def writer(migrated_url: str, redis_url: str) -> Generator[hotconfig.HotConfig]:
    """A client on the shared servers that writes what others have to see."""
    with hotconfig.HotConfig(migrated_url, redis_url) as client:
        yield client
