"""A real etcd of one member, as Debian packages it, for the length of a block. fsync stays on, which is its default."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final

from benchmarks.results import UnavailableError
from benchmarks.ways.readers import ETCD_KEY
from benchmarks.wrk import free_port

_READY_WITHIN_S: Final = 30.0
_END_WITHIN_S: Final = 10.0
_HOST: Final = "127.0.0.1"


@contextmanager
def etcd_server() -> Generator[tuple[int, int]]:
    """Run one, and lend its port and process id.

    Raises:
        UnavailableError: there is no etcd here, or no client.
    """
    program = shutil.which("etcd")
    if program is None:
        raise UnavailableError("no etcd on PATH: apt-get install etcd-server")
    if find_spec("aetcd") is None:
        raise UnavailableError("no client for etcd: pip install aetcd")
    client, peer = (f"http://{_HOST}:{free_port()}" for _ in range(2))
    with tempfile.TemporaryDirectory(prefix="hotconfig-etcd-") as data:
        process = subprocess.Popen(
            [
                *(program, "--data-dir", data, "--log-level", "error"),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"default={peer}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield _reached(process, int(client.rpartition(":")[2])), process.pid
        finally:
            process.terminate()
            process.wait(_END_WITHIN_S)


def version() -> str:
    """What the program says of itself."""
    ended = subprocess.run(["etcd", "--version"], check=True, capture_output=True, text=True)
    return ended.stdout.partition("\n")[0].removeprefix("etcd Version: ")


@contextmanager
def putter(port: int) -> Generator[Callable[[str], None]]:
    """Lend a function that puts a value, and returns when etcd has answered, which it does after its commit."""
    import aetcd

    with asyncio.Runner() as runner:
        client = aetcd.Client(_HOST, port)
        runner.run(client.connect())
        try:
            yield lambda text: runner.run(_put(client, text))
        finally:
            runner.run(client.close())


async def _put(client: object, text: str) -> None:
    await client.put(ETCD_KEY, text.encode())  # type: ignore[attr-defined] # aetcd has no types


def _reached(process: subprocess.Popen[bytes], port: int) -> int:
    """The port, once etcd takes a value there."""
    deadline_s = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            socket.create_connection((_HOST, port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise UnavailableError("etcd did not start") from None
            time.sleep(0.05)
        else:
            break
    with putter(port) as put:
        put("0.75")
    return port
