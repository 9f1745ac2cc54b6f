"""Servers for tests beyond what ``hotconfig.embedded`` itself finds, and ways to make them suffer."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import psutil
import pytest

from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey

DEBIAN_POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


def postgres_15_binaries() -> Path:
    """Return where Debian 12 installs PostgreSQL 15, or skip the test."""
    if not (DEBIAN_POSTGRES_15 / "postgres").exists():
        pytest.skip("needs PostgreSQL 15: apt-get install postgresql-15")
    return DEBIAN_POSTGRES_15


def redis_server_binary() -> Path:
    """Return the ``redis-server`` of this machine, or skip the test."""
    if (found := shutil.which("redis-server")) is None:
        pytest.skip("needs redis-server: apt-get install redis-server")
    return Path(found)


def freeze(server: EmbeddedPostgres | EmbeddedValkey) -> None:
    """Let ``server`` hold its connections but answer nothing, until :func:`thaw`."""
    for process in _family(server):
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend that has just ended
            process.suspend()


def thaw(server: EmbeddedPostgres | EmbeddedValkey) -> None:
    """Undo :func:`freeze`."""
    for process in _family(server):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def _family(server: EmbeddedPostgres | EmbeddedValkey) -> list[psutil.Process]:
    process = psutil.Process(server.pid)
    return [process, *process.children(recursive=True)]
