"""The stage: servers, the proxies before them, and the nursery. Set up once for any number of seeds.

Owns processes and addresses. Must not know what faults there are.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import psycopg
import redis
from psycopg import conninfo, sql

from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from hotconfig.postgres.migrate import migrate
from tests.faults.harness.board import Part
from tests.support.fault_proxy import CLEAR, FaultProxy, Proxies

ROOT: Final = Path(__file__).resolve().parents[3]
POSTGRES_SETTINGS: Final = {"fsync": "off", "full_page_writes": "off", "max_connections": "150"}
"""A killed server loses nothing that it acknowledged, since the kernel lives on; so commits may stay synchronous."""
_TEMPLATE: Final = "faults_template"


class Nursery:
    """Forks participants and remembers them. Used by one thread."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.living: dict[str, int] = {}
        self.killed: list[str] = []
        self.codes: dict[str, int] = {}
        self._generations = itertools.count(2)

    def bear(self, part: Part) -> None:
        """A new participant."""
        self.living[part.name] = int(self._ask(asdict(part)))

    def kill(self, name: str) -> None:
        """End a participant by SIGKILL."""
        os.kill(self.living[name], signal.SIGKILL)
        self.killed.append(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Stop a participant, or let it go on; nothing if it is gone."""
        if name in self.living:
            os.kill(self.living[name], number)

    def reap(self) -> None:
        """Take leave of those that have ended."""
        ended = self._ask("reap")
        for name, pid in list(self.living.items()):
            if str(pid) in ended:
                self.codes[name] = ended[str(pid)]
                del self.living[name]

    def next_name(self, name: str) -> str:
        """The name of one who takes another's place."""
        return f"{name.split('.', maxsplit=1)[0]}.{next(self._generations)}"

    def clear(self) -> None:
        """Before the next seed."""
        for name in self.living:
            self.kill(name)
        self.reap()
        self.living, self.killed, self.codes = {}, [], {}

    def close(self) -> None:
        """End the nursery; participants that are left are killed."""
        with contextlib.suppress(BrokenPipeError):
            self.clear()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(10)

    def _ask(self, request: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the nursery has no pipes")
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())


class Stage:
    """Everything that one seed at a time happens on."""

    def __init__(
        self, postgres: EmbeddedPostgres, valkey: EmbeddedValkey, postgres_way: FaultProxy, redis_way: FaultProxy
    ) -> None:
        self.postgres = postgres
        self.valkey = valkey
        self.postgres_way = postgres_way
        self.redis_way = redis_way
        self.nursery = Nursery()
        self.database = ""
        self._numbers = itertools.count(1)

    @classmethod
    @contextmanager
    def set_up(cls) -> Generator[Stage]:
        """Start it all, and end it all with the block."""
        with ExitStack() as stack:
            postgres, valkey = EmbeddedPostgres(settings=POSTGRES_SETTINGS), EmbeddedValkey()
            for server in (postgres, valkey):
                stack.callback(server.stop)
                server.start()
            proxies = stack.enter_context(Proxies())
            host = "127.0.0.1"
            stage = cls(
                postgres, valkey, proxies.open(host, postgres.port), proxies.open(host, valkey.port, frames=True)
            )
            stack.callback(stage.nursery.close)
            with stage.admin() as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
            migrate(postgres.url_of(_TEMPLATE), schema="hotconfig")
            yield stage

    @contextmanager
    def fresh_database(self) -> Iterator[None]:
        """A database with hotconfig's tables, for one seed."""
        self.database = f"seed_{next(self._numbers)}"
        name, template = sql.Identifier(self.database), sql.Identifier(_TEMPLATE)
        with self.admin() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
        try:
            yield
        finally:
            with self.admin() as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def admin(self) -> psycopg.Connection[Any]:
        """A connection that no fault touches, to no database in particular."""
        return psycopg.connect(self.postgres.url_of("postgres"), autocommit=True, connect_timeout=10)

    def desk(self) -> psycopg.Connection[Any]:
        """A connection to the seed's database that no proxy stands before."""
        return psycopg.connect(self.postgres.url_of(self.database), autocommit=True, connect_timeout=10)

    def redis(self) -> redis.Redis:
        """A client that no proxy stands before."""
        return redis.Redis.from_url(self.valkey.url, socket_timeout=2, socket_connect_timeout=2)

    @property
    def database_url(self) -> str:
        """The seed's database, through the proxy."""
        return conninfo.make_conninfo(self.postgres.url_of(self.database), port=self.postgres_way.port)

    @property
    def redis_url(self) -> str:
        """Redis, through the proxy."""
        return f"redis://:{self.valkey.password}@127.0.0.1:{self.redis_way.port}/0"

    def clear_weather(self) -> None:
        """Let everything pass."""
        self.postgres_way.cut_next(None)
        self.postgres_way.change(CLEAR)
        self.redis_way.change(CLEAR)
