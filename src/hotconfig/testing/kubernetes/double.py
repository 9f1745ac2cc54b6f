"""``KubernetesDouble``: the handle that tests hold."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hotconfig.provisioner.manifests import doctor_rules, provisioner_rules, purger_rules
from hotconfig.provisioner.template import TENANT_ADMIN
from hotconfig.testing.kubernetes import certificates as authority
from hotconfig.testing.kubernetes import roles
from hotconfig.testing.kubernetes.api import Api
from hotconfig.testing.kubernetes.controllers import Controllers, Pace
from hotconfig.testing.kubernetes.faults import CallLog, Faults
from hotconfig.testing.kubernetes.rbac import Rule, User
from hotconfig.testing.kubernetes.requests import APPLY, Request, Response
from hotconfig.testing.kubernetes.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    Resource,
    Target,
    by_kind,
)
from hotconfig.testing.kubernetes.server import Server
from hotconfig.testing.kubernetes.trees import Json
from hotconfig.testing.kubernetes.writing import Write

USERS: Final = {
    "admin": User("admin", ("system:masters", "system:authenticated")),
    "provisioner": User(
        "system:serviceaccount:hotconfig-system:provisioner", ("system:serviceaccounts", "system:authenticated")
    ),
    "purger": User("system:serviceaccount:hotconfig-system:purger", ("system:serviceaccounts", "system:authenticated")),
    "tenant-admin": User("alice@acme.example", ("org:acme:admin", "system:authenticated")),
}
"""Who there is from the start. ``nobody`` has a token that the server does not know."""

PROVISIONER_RULES: Final = tuple(Rule.read(dict(rule)) for rule in (*provisioner_rules(TENANT_ADMIN), *doctor_rules()))
"""Exactly what ``hotconfig-provisioner manifests`` grants, so that a missing permission shows in a test."""
PURGER_RULES: Final = tuple(Rule.read(dict(rule)) for rule in purger_rules())
"""The same for the identity that deletes."""

_SYSTEM: Final = User("system:apiserver", ("system:masters", "system:authenticated"))


class KubernetesDouble:
    """A kube-apiserver for tests, with a controller manager, in this process.

    Start it with ``with``. ``provisioner_rules`` are the cluster role of the user ``provisioner``; None gives it none.
    The user ``purger`` has :data:`PURGER_RULES`.
    Everything public may be called from any thread.
    """

    def __init__(
        self,
        *,
        tls: bool = True,
        host: str = "127.0.0.1",
        provisioner_rules: Sequence[Rule] | None = PROVISIONER_RULES,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.faults: Faults = Faults()
        self.log: CallLog = CallLog()
        self.pace: Pace = Pace()
        self._tls = authority.certificates() if tls else None
        self._host = host
        self._tokens: dict[str, str] = {"nobody": "an-unknown-token"}
        self._api = Api(clock=clock) if clock else Api()
        self._server = Server(self._api, Controllers(self._api, self.pace), faults=self.faults, log=self.log)
        self._server.name_of = self._name_of
        for key, user in USERS.items():
            self.add_user(key, user)
        self._bootstrap(provisioner_rules)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Accept connections; after ``stop`` on the same port, with the same objects."""
        self._server.start(self._host, self._tls.context if self._tls else None)

    def stop(self) -> None:
        """Refuse connections and reset those there are: the API server is down."""
        self._server.stop()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{self._host}:{self._server.port}"

    @property
    def authority_pem(self) -> bytes:
        """The certificate of the authority that clients have to trust; empty without TLS."""
        return self._tls.authority_pem if self._tls else b""

    def add_user(self, key: str, user: User) -> str:
        """Let ``user`` in, with the token returned. ``key`` is what the double calls it."""
        token = f"{key}-{secrets.token_hex(8)}"
        self._tokens[key] = token
        self._api.access.users[token] = user
        return token

    def token(self, key: str) -> str:
        """The bearer token of a key of :data:`USERS`, of ``nobody``, or of a user that was added."""
        return self._tokens[key]

    def kubeconfig(self, directory: Path, *, user: str = "provisioner") -> Path:
        """Write a kubeconfig with a context for every user, ``user`` the current one, readable by nobody else."""
        path = directory / f"kubeconfig-{user}.yaml"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._kubeconfig(user), indent=2), encoding="utf-8")  # JSON is YAML
        return path

    def _kubeconfig(self, current: str) -> Json:
        cluster = {"server": self.url}
        if self._tls:
            cluster["certificate-authority-data"] = base64.b64encode(self._tls.authority_pem).decode()
        contexts = [{"name": key, "context": {"cluster": "double", "user": key}} for key in self._tokens]
        users = [{"name": key, "user": {"token": token}} for key, token in self._tokens.items()]
        found: Json = {"apiVersion": "v1", "kind": "Config", "current-context": current}
        return found | {"clusters": [{"name": "double", "cluster": cluster}], "contexts": contexts, "users": users}

    def request(
        self, method: str, target: str, body: object = None, *, user: str = "admin", content_type: str = ""
    ) -> Response:
        """Ask without the wire: no latency, no fault, no entry in the log."""
        headers = {"authorization": [f"Bearer {self.token(user)}"]}
        if content_type:
            headers["content-type"] = [content_type]
        data = b"" if body is None else json.dumps(body).encode()
        return self._api.answer(Request.read(method, target, headers, data))

    def get(self, path: str) -> Json | None:
        """The object at ``path`` as it is now, None if there is none."""
        response = self.request("GET", path)
        return response.body if response.code == 200 else None

    def items(self, path: str) -> list[Json]:
        """The objects of the collection at ``path``."""
        found: list[Json] = self.request("GET", path).body["items"]
        return found

    def apply(self, *manifests: Json, manager: str = "tests") -> list[Json]:
        """Apply objects as the administrator. Raises ValueError with the server's words when one is refused."""
        return [self._applied(manifest, manager) for manifest in manifests]

    def _applied(self, manifest: Json, manager: str) -> Json:
        resource = by_kind(manifest["apiVersion"], manifest["kind"])
        if resource is None:
            raise ValueError(f"the double has no kind {manifest['kind']} of {manifest['apiVersion']}")
        target = f"{_path(resource, manifest['metadata'])}?fieldManager={manager}&force=true"
        response = self.request("PATCH", target, manifest, content_type=APPLY)
        if response.code >= 300:
            raise ValueError(response.body["message"])
        found: Json = response.body
        return found

    def _name_of(self, request: Request) -> str:
        token = request.header("authorization").partition(" ")[2]
        return next((key for key, each in self._tokens.items() if each == token), "")

    def _bootstrap(self, provisioner_rules: Sequence[Rule] | None) -> None:
        for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self._put(NAMESPACES, {"metadata": {"name": name}})
        for name, rules in roles.BOOTSTRAP.items():
            self._put(CLUSTER_ROLES, roles.cluster_role(name, rules))
        for name, groups in roles.BOUND.items():
            subjects = [("Group", group) for group in groups]
            self._put(CLUSTER_ROLE_BINDINGS, roles.cluster_role_binding(name, name, *subjects))
        if provisioner_rules is not None:
            self.grant("provisioner", *provisioner_rules)
        self.grant("purger", *PURGER_RULES)

    def grant(self, key: str, *rules: Rule) -> None:
        """Give a user these rights everywhere, in place of those that an earlier call gave."""
        name, user = f"hotconfig-{key}", self._api.access.users[self.token(key)]
        self.apply(roles.cluster_role(name, rules), roles.cluster_role_binding(name, name, ("User", user.name)))

    def _put(self, resource: Resource, value: Json) -> None:
        self._api.writer.create(Write(Target(resource), _SYSTEM, "kube-apiserver"), value)


def _path(resource: Resource, metadata: Json) -> str:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    space = f"/namespaces/{metadata['namespace']}" if resource.namespaced else ""
    return f"{root}{space}/{resource.plural}/{metadata['name']}"
