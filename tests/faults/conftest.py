"""What the fault tests share: clients on the shared servers, as the integration tests have them, and logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.running import Log
from tests.integration.conftest import client, start_client, writer

__all__ = ["client", "log", "start_client", "writer"]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty log for the processes of one program."""
    return Log(tmp_path / "log")
