"""Debian's PgBouncer in transaction mode, before a PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg import conninfo

from hotconfig.embedded.account import server_account
from tests.support.ports import free_port
from tests.support.waiting import eventually

_CONFIGURATION = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool}
server_login_retry = 0.2
logfile = {log}
"""


def pgbouncer_binary() -> Path:
    """Return the ``pgbouncer`` of this machine, or skip the test."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    return Path(found)


@contextmanager
def pooled(url: str, *, pool_size: int = 3) -> Generator[str]:
    """Lend the URL that leads through a new PgBouncer to the server behind ``url``."""
    program, account, parts = pgbouncer_binary(), server_account(), conninfo.conninfo_to_dict(url)
    with tempfile.TemporaryDirectory() as temporary:
        directory, own = Path(temporary), free_port()
        (directory / "users").write_text(f'"{parts["user"]}" "{parts["password"]}"\n')
        settings = {"users": directory / "users", "log": directory / "log", "own": own, "pool": pool_size}
        text = _CONFIGURATION.format(**settings, host=parts["host"], port=parts["port"])
        (directory / "pgbouncer.ini").write_text(text)
        if account is not None:
            for path in (directory, *directory.iterdir()):
                os.chown(path, account.uid, account.gid)
        process = subprocess.Popen(
            [program, "--quiet", directory / "pgbouncer.ini"],
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: process.poll() is None and _listens(own), 20, message=str(directory / "log"))
            yield conninfo.make_conninfo(url, host="127.0.0.1", port=own)
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
