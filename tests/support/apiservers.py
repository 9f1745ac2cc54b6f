"""API servers that the contract suite talks to: the double, and a real one where there is one."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from hotconfig.testing.kubernetes import USERS, KubernetesDouble, Pace, User
from tests.support.kubebuilder import NO_ASSETS, api_server_of_assets, has_assets

NO_SERVER: Final = "no real API server: set KUBECONFIG, or KUBEBUILDER_ASSETS to where etcd and kube-apiserver are"

USERS_AS_RECORDED: Final[Mapping[str, User]] = USERS


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: Any


@dataclass(slots=True)
class ApiServer:
    """One API server, and how each user of the recording makes himself known to it."""

    url: str
    context: ssl.SSLContext | None
    headers: Mapping[str, list[tuple[str, str]]]
    """By user."""
    is_real: bool
    pace: Pace | None = None
    """That of the double's controllers."""
    _connection: http.client.HTTPConnection | None = field(default=None, init=False)

    def call(self, user: str, method: str, path: str, body: object = None, content_type: str | None = None) -> Answer:
        """Ask as ``user``. Sends no User-Agent, as the recording did."""
        connection = self._connection or self._connect()
        connection.putrequest(method, path)
        data = b"" if body is None else json.dumps(body).encode()
        headers = [*self.headers[user], *([("Content-Type", content_type)] if content_type else [])]
        for name, value in (*headers, ("Content-Length", str(len(data)))):
            connection.putheader(name, value)
        connection.endheaders(data)
        response = connection.getresponse()
        text = response.read().decode()
        found = response.headers["Content-Type"]
        return Answer(response.status, found, json.loads(text) if found == "application/json" else text)

    def _connect(self) -> http.client.HTTPConnection:
        split = urlsplit(self.url)
        host, port = split.hostname or "", split.port or 443
        if self.context is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=30)
        else:
            self._connection = http.client.HTTPSConnection(host, port, timeout=30, context=self.context)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def trusting(pem: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pem.decode())


def bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


@contextmanager
def the_double() -> Generator[ApiServer]:
    """The double, whose provisioner has no rights yet."""
    with KubernetesDouble(provisioner_rules=None) as double:
        headers = {key: bearer(double.token(key)) for key in (*USERS, "nobody")}
        server = ApiServer(double.url, trusting(double.authority_pem), headers, is_real=False, pace=double.pace)
        yield server
        server.close()


def has_real_server() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or has_assets()


@contextmanager
def the_real_one() -> Generator[ApiServer]:
    """The server of KUBECONFIG as its user, who must be an administrator; else one started from KUBEBUILDER_ASSETS."""
    if not has_real_server():
        pytest.skip(NO_ASSETS if os.environ.get("KUBEBUILDER_ASSETS") else NO_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        if config := os.environ.get("KUBECONFIG"):
            url, context, admin = _of_kubeconfig(Path(config.split(os.pathsep)[0]), Path(directory))
            server = ApiServer(url, context, _impersonating(admin), is_real=True)
            yield server
            server.close()
        else:
            with api_server_of_assets(Path(directory)) as (url, pem, token):
                server = ApiServer(url, trusting(pem), _impersonating(bearer(token)), is_real=True)
                yield server
                server.close()


def _impersonating(admin: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Everybody but the administrator is impersonated by him."""
    found = {"admin": admin, "nobody": bearer("an-unknown-token")}
    for key in USERS.keys() - found.keys():
        groups = [("Impersonate-Group", group) for group in USERS[key].groups]
        found[key] = [*admin, ("Impersonate-User", USERS[key].name), *groups]
    return found


def _of_kubeconfig(path: Path, directory: Path) -> tuple[str, ssl.SSLContext, list[tuple[str, str]]]:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))

    def named(kind: str, name: str) -> Any:
        return next(each for each in config[f"{kind}s"] if each["name"] == name)[kind]

    current = named("context", config["current-context"])
    cluster, user = named("cluster", current["cluster"]), named("user", current["user"])
    context = trusting(_bytes(cluster, "certificate-authority", path))
    if "token" in user:
        return cluster["server"], context, bearer(user["token"])
    if "client-certificate-data" not in user and "client-certificate" not in user:
        pytest.skip("the user of KUBECONFIG has neither a token nor a certificate")
    files: list[Path] = []
    for key in ("client-certificate", "client-key"):
        files.append(directory / key)
        files[-1].write_bytes(_bytes(user, key, path))
    context.load_cert_chain(files[0], files[1])
    return cluster["server"], context, []


def _bytes(section: Mapping[str, str], key: str, path: Path) -> bytes:
    if f"{key}-data" in section:
        return base64.b64decode(section[f"{key}-data"])
    return (path.parent / section[key]).read_bytes()
