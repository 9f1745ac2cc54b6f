"""Redis beyond one node, as child processes: single servers, a master with a replica and Sentinels, a cluster, TLS."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.ports import free_port
from tests.support.servers import redis_server_binary
from tests.support.waiting import eventually

HOST = "127.0.0.1"
PASSWORD = "pass word/@:"
QUOTED = "pass%20word%2F%40%3A"
MASTER = "mymaster"


class RedisProcess:
    """One ``redis-server`` (or another program that takes its configuration), to be killed, frozen and restarted.

    Dies with this process. Clients of the test itself come from :meth:`client`.
    """

    def __init__(
        self,
        directory: Path,
        lines: Iterable[str] = (),
        *,
        binary: Path | None = None,
        password: str = PASSWORD,
        sentinel: bool = False,
        tls: Path | None = None,
        host: str = HOST,
        port: int | None = None,
    ) -> None:
        self.host = host
        self.port = port or free_port()
        self.password = password
        self.tls = tls
        self._sentinel = sentinel
        self._binary = binary or redis_server_binary()
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)
        self._configuration = directory / "server.conf"
        self._configuration.write_text("\n".join([*self._own_lines(), *lines]) + "\n")

    def __enter__(self) -> RedisProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        if self.tls is None:
            return f"redis://:{QUOTED}@{self.address}/0"
        return f"rediss://:{QUOTED}@{self.address}/0?ssl_ca_certs={self.tls / 'ca.pem'}"

    def url_for(self, user: str) -> str:
        """For a user whose password is his name."""
        return f"redis://{user}:{user}@{self.address}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.launch()
        eventually(self.answers, 20, message=f"{self.address} answers")

    def launch(self) -> None:
        """Start, and wait for nothing."""
        command = [str(self._binary), str(self._configuration), *(["--sentinel"] if self._sentinel else [])]
        if (setpriv := shutil.which("setpriv")) is not None:
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False

    def client(self, user: str | None = None, **options: Any) -> redis.Redis:
        """A client that gives up soon; as the default user, or as one whose password is his name."""
        if self.tls is not None:
            own = {"ssl_certfile": str(self.tls / "server.pem"), "ssl_keyfile": str(self.tls / "server.key")}
            options |= {"ssl": True, "ssl_ca_certs": str(self.tls / "ca.pem"), "ssl_check_hostname": False, **own}
        return redis.Redis(
            self.host,
            self.port,
            username=user,
            password=user or self.password or None,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
            **options,
        )

    def ask(self, *command: str | int) -> Any:
        """The answer to one command."""
        with self.client() as client:
            return client.execute_command(*command)

    def users(self, **rules: str) -> None:
        """Make users."""
        for name, rule in rules.items():
            self.ask("ACL", "SETUSER", name.replace("_", "-"), "reset", *rule.split())

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _own_lines(self) -> Iterator[str]:
        yield from (f"bind {self.host}", "daemonize no", f"dir {self._directory}", "protected-mode no")
        if self.tls is None:
            yield f"port {self.port}"
        else:
            yield from ("port 0", f"tls-port {self.port}", "tls-auth-clients no")
            yield from ("tls-replication yes", "tls-cluster yes")
            yield f"tls-cert-file {self.tls / 'server.pem'}"
            yield f"tls-key-file {self.tls / 'server.key'}"
            yield f"tls-ca-cert-file {self.tls / 'ca.pem'}"
        if self.password:
            yield f'requirepass "{self.password}"'
        if not self._sentinel:
            yield from ('save ""', "appendonly no", "repl-diskless-sync-delay 0")
            yield f'masterauth "{PASSWORD}"'


class Watched:
    """A master, a replica, and three Sentinels that watch them."""

    def __init__(
        self, directory: Path, *, sentinel_password: str = "", down_after_ms: int = 700, tls: Path | None = None
    ) -> None:
        self._tls = tls
        self.servers = [RedisProcess(directory / f"server{n}", tls=tls) for n in range(2)]
        lines = [
            f"sentinel monitor {MASTER} {HOST} {self.servers[0].port} 2",
            f'sentinel auth-pass {MASTER} "{PASSWORD}"',
            f"sentinel down-after-milliseconds {MASTER} {down_after_ms}",
            f"sentinel failover-timeout {MASTER} 6000",
            *([f"sentinel sentinel-pass {sentinel_password}"] if sentinel_password else []),
        ]
        self.sentinels = [
            RedisProcess(directory / f"sentinel{n}", lines, sentinel=True, password=sentinel_password, tls=tls)
            for n in range(3)
        ]

    @property
    def url(self) -> str:
        return self.url_for()

    def url_for(self, user: str = f":{QUOTED}", query: str = "", *, master: str = MASTER) -> str:
        """For a user, ``name:password``, with more of a query."""
        addresses = ",".join(sentinel.address for sentinel in self.sentinels)
        scheme, ca = ("rediss", f"ssl_ca_certs={self._tls / 'ca.pem'}") if self._tls else ("redis", "")
        return f"{scheme}+sentinel://{user}@{addresses}/{master}/0?{ca}&{query}"

    @property
    def master(self) -> RedisProcess:
        """The one that the first Sentinel to answer calls the master."""
        for sentinel in self.sentinels:
            with suppress(redis.RedisError, OSError):
                port = int(sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])
                return next(server for server in self.servers if server.port == port)
        raise AssertionError("no Sentinel answers")

    def role(self, server: RedisProcess) -> str:
        """What a server says that it is; empty if it does not answer."""
        try:
            return str(server.ask("ROLE")[0].decode())
        except (redis.RedisError, OSError):
            return ""

    def roles_agree(self) -> bool:
        """Whether the Sentinels' master and its replica take themselves for what they are.

        Which of the two is the master is not asked: a busy machine may have made the Sentinels change their minds.
        """
        master = self.master
        return [self.role(server) for server in self.servers] == [
            "master" if server is master else "slave" for server in self.servers
        ]

    def start(self) -> None:
        """Start everything, and wait until a failover would work."""
        for server in self.servers:
            server.start()
        self.servers[1].ask("REPLICAOF", HOST, self.servers[0].port)
        for sentinel in self.sentinels:
            sentinel.start()
        self.settle()

    def settle(self) -> None:
        """Wait until every Sentinel knows the others and a replica in good order."""
        eventually(lambda: all(map(self._knows_all, self.sentinels)), 40, message="the Sentinels know everybody")

    def _knows_all(self, sentinel: RedisProcess) -> bool:
        try:
            state = fields(sentinel.ask("SENTINEL", "MASTER", MASTER))
            replicas = [fields(replica) for replica in sentinel.ask("SENTINEL", "REPLICAS", MASTER)]
        except (redis.RedisError, OSError):
            return False
        return (
            state["flags"] == "master"
            and state["num-other-sentinels"] == "2"
            and any(replica["flags"] == "slave" and replica["master-link-status"] == "ok" for replica in replicas)
        )

    def stop(self) -> None:
        for process in (*self.sentinels, *self.servers):
            process.kill()


class Cluster:
    """Three masters without replicas."""

    def __init__(self, directory: Path, *, tls: Path | None = None) -> None:
        self._tls = tls
        lines = ["cluster-enabled yes", "cluster-node-timeout 1500"]
        self.nodes = [
            RedisProcess(directory / f"node{n}", [*lines, f"cluster-port {free_port()}"], tls=tls) for n in range(3)
        ]

    @property
    def url(self) -> str:
        return self.url_for()

    def url_for(self, user: str = f":{QUOTED}", *, nodes: Sequence[RedisProcess] = (), query: str = "") -> str:
        """For a user, ``name:password``, naming some nodes, with more of a query."""
        addresses = ",".join(node.address for node in nodes or self.nodes)
        scheme, ca = ("rediss", f"ssl_ca_certs={self._tls / 'ca.pem'}") if self._tls else ("redis", "")
        return f"{scheme}+cluster://{user}@{addresses}/?{ca}&{query}"

    def start(self) -> None:
        """Start the nodes, share the slots out, and wait until every node finds the cluster in order."""
        for node in self.nodes:
            node.start()
        for number, (node, (first, last)) in enumerate(
            zip(self.nodes, ((0, 5460), (5461, 10922), (10923, 16383)), strict=True), start=1
        ):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node in self.nodes[1:]:
            bus = self._bus_port(node)
            self.nodes[0].ask("CLUSTER", "MEET", HOST, node.port, bus)
        eventually(lambda: all(map(self.is_well, self.nodes)), 30, message="the cluster is in order")

    def is_well(self, node: RedisProcess) -> bool:
        try:
            lines = node.ask("CLUSTER", "INFO").decode().split()
        except (redis.RedisError, OSError):
            return False
        return {"cluster_state:ok", "cluster_known_nodes:3"} <= set(lines) and self._reaches_all(node)

    @staticmethod
    def _reaches_all(node: RedisProcess) -> bool:
        """Whether what is published there comes to the others: links are made later than the cluster is in order."""
        return b"disconnected" not in node.ask("CLUSTER", "NODES")

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def _bus_port(self, node: RedisProcess) -> int:
        with node.client() as client:
            return int(client.config_get("cluster-port")["cluster-port"])


def fields(flat: Any) -> dict[str, str]:
    """A Sentinel's answer, whichever of redis-py's forms it has."""
    if isinstance(flat, dict):
        return {_text(name): _text(value) for name, value in flat.items()}
    texts = [_text(item) for item in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _text(item: Any) -> str:
    return item.decode() if isinstance(item, bytes) else str(item)


@contextmanager
def started(server: Any) -> Iterator[Any]:
    """Start it now, stop it in the end."""
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


def write_certificates(directory: Path, *names: str) -> None:
    """A new authority and a certificate of its for ``names``: ``ca.pem``, ``server.pem``, ``server.key``."""
    trustme = pytest.importorskip("trustme", reason="needs trustme: pip install --group tests")
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    certificate = authority.issue_cert(*names)
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(directory / "server.pem"))
    certificate.private_key_pem.write_to_path(str(directory / "server.key"))
    ssl.create_default_context(cafile=directory / "ca.pem")  # what was written can be read
