"""The recorded exchanges: reading, replaying and comparing them.

What cannot be the same twice is masked, by these rules and no others:

1. **UIDs** are translated: the one an object has here stands for the one it had in the recording, wherever it appears,
   in requests and in messages too. Another object's UID in its place is a difference.
2. **Versions of objects** are translated alike, and must move as in the recording: the same version where nothing was
   written, a new and higher one where something was.
3. **Versions of lists**, and the version within a ``continue`` token, need only be numbers.
4. **Times** are any time; whether there is one is compared.
5. **managedFields** are compared without regard to their order, which follows the times.
6. **The build** in ``/version`` is compared in its keys only, when the server is a real one.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hotconfig.testing.kubernetes.roles import PROVISIONER, bind, cluster_role, cluster_role_binding
from tests.support.apiservers import USERS_AS_RECORDED, ApiServer
from tests.support.waiting import eventually

RECORDING: Final = Path(__file__).parents[1] / "contract" / "kubernetes" / "kube-apiserver-1.36-exchanges.json"
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
QUOTA: Final = "/api/v1/namespaces/org-acme/resourcequotas/hotconfig-quota"
ROLE: Final = "hotconfig-contract-provisioner"

EXCHANGES: Final[list[dict[str, Any]]] = json.loads(RECORDING.read_text(encoding="utf-8"))["exchanges"]


@dataclass(slots=True)
class Replay:
    """One run through the recording, and what the names of the recording stand for in it."""

    server: ApiServer
    uids: dict[str, str] = field(default_factory=dict)
    """UID here → UID in the recording."""
    versions: dict[str, str] = field(default_factory=dict)
    """Version in the recording → version here."""
    written: dict[str, list[str]] = field(default_factory=dict)
    """By UID, the versions seen here."""
    outcomes: list[tuple[Any, Any]] = field(default_factory=list)
    """By exchange: what is wanted, what was found."""

    def run(self) -> None:
        self._check_empty()
        try:
            for exchange in EXCHANGES:
                self._prepare(exchange)
                self.outcomes.append(self._exchange(exchange))
        finally:
            self._clean()

    def _exchange(self, exchange: dict[str, Any]) -> tuple[Any, Any]:
        request, wanted = exchange["request"], exchange["response"]
        body = self._translated(request["body"])
        answer = self.server.call(exchange["as"], request["method"], request["path"], body, request["content_type"])
        found = {"status": answer.status, "content_type": answer.content_type, "body": answer.body}
        if exchange["title"] == "version" and self.server.is_real:
            return wanted | {"body": sorted(wanted["body"])}, found | {"body": sorted(answer.body)}
        if isinstance(answer.body, dict) and isinstance(wanted["body"], dict):
            self._learn_uids(wanted["body"], answer.body)
            found["body"] = self._with_recorded_uids(answer.body)
            self._translate_versions(wanted["body"], found["body"])
            return wanted | {"body": masked(wanted["body"])}, found | {"body": masked(found["body"])}
        return wanted, found

    def _translated(self, body: Any) -> Any:
        """A recorded request, with the UIDs and versions that its objects have here."""
        if body is None:
            return None
        text = json.dumps(body)
        for here, there in self.uids.items():
            text = text.replace(there, here)
        found = json.loads(text)
        version = found.get("metadata", {}).get("resourceVersion") if isinstance(found, dict) else None
        if version is not None:
            found["metadata"]["resourceVersion"] = self.versions[version]
        return found

    def _with_recorded_uids(self, body: Any) -> Any:
        text = json.dumps(body)
        for here, there in self.uids.items():
            text = text.replace(here, there)
        return json.loads(text)

    def _learn_uids(self, wanted: dict[str, Any], found: dict[str, Any]) -> None:
        for there, here in _pairs(wanted, found):
            uids = [each.get("metadata", {}).get("uid") for each in (there, here)]
            if all(uids) and uids[0] not in self.uids.values():
                self.uids.setdefault(uids[1], uids[0])

    def _translate_versions(self, wanted: dict[str, Any], found: dict[str, Any]) -> None:
        """Put the recorded versions in the place of those in ``found`` that moved as the recorded ones did."""
        for there, here in _pairs(wanted, found):
            recorded, version = (each.get("metadata", {}).get("resourceVersion") for each in (there, here))
            if "items" in there or recorded is None or version is None:
                continue
            is_new = version not in self.versions.values() and int(version) > max(
                map(int, self.written.get(here["metadata"]["uid"], ["0"]))
            )
            if self.versions.get(recorded) == version or (recorded not in self.versions and is_new):
                self.versions[recorded] = version
                self.written.setdefault(here["metadata"]["uid"], []).append(version)
                here["metadata"]["resourceVersion"] = recorded

    def _prepare(self, exchange: dict[str, Any]) -> None:
        """What happened between the recorded exchanges: rights were granted, controllers did their work."""
        title = exchange["title"]
        if title == "get missing namespace":
            self._grant(may_bind=False)
        elif title == "apply RoleBinding with the bind verb":
            self._grant(may_bind=True)
        elif title == "apply ServiceAccount default":
            self._wait_for("/api/v1/namespaces/org-acme/serviceaccounts/default", 200)
        elif title == "delete namespace with the right uid" and self.server.pace is not None:
            self.server.pace.is_running = (
                False  # until the last exchange; with a real server the recording's race is run
            )
        elif title == "namespace is gone":
            if self.server.pace is not None:
                self.server.pace.is_running = True
            self._wait_for("/api/v1/namespaces/org-acme", 404)
        elif "resourcequotas" in exchange["request"]["path"]:
            eventually(self._quota_is_settled, timeout_s=60, message="the controller does not fill the quota's status")

    def _quota_is_settled(self) -> bool:
        answer = self.server.call("admin", "GET", QUOTA)
        return (
            self._is_paused()
            or answer.status == 404
            or answer.body["status"].get("hard") == answer.body["spec"]["hard"]
        )

    def _is_paused(self) -> bool:
        return self.server.pace is not None and not self.server.pace.is_running

    def _wait_for(self, path: str, status: int) -> None:
        eventually(lambda: self.server.call("admin", "GET", path).status == status, timeout_s=60, message=path)

    def _grant(self, *, may_bind: bool) -> None:
        rules = (*PROVISIONER, bind("admin")) if may_bind else PROVISIONER
        binding = cluster_role_binding(ROLE, ROLE, ("User", USERS_AS_RECORDED["provisioner"].name))
        for kind, value in (("clusterroles", cluster_role(ROLE, rules)), ("clusterrolebindings", binding)):
            path = f"{RBAC}/{kind}/{ROLE}?fieldManager=contract&force=true"
            answer = self.server.call("admin", "PATCH", path, value, "application/apply-patch+yaml")
            assert answer.status in {200, 201}, answer

    def _check_empty(self) -> None:
        """Never touch what somebody else made."""
        for name in ("org-acme", "org-viaapply"):
            answer = self.server.call("admin", "GET", f"/api/v1/namespaces/{name}")
            assert answer.status == 404, f"the server has a namespace {name}: not a server for this suite"

    def _clean(self) -> None:
        for path in (
            *(f"/api/v1/namespaces/{name}" for name in ("org-acme", "org-viaapply")),
            *(f"{RBAC}/{kind}/{ROLE}" for kind in ("clusterroles", "clusterrolebindings")),
        ):
            self.server.call("admin", "DELETE", path)


def _pairs(wanted: dict[str, Any], found: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The object or the list itself, and the items of a list."""
    return [(wanted, found), *zip(wanted.get("items", ()), found.get("items", ()), strict=False)]


def masked(body: dict[str, Any]) -> dict[str, Any]:
    """``body`` with rules 3 to 5 applied."""
    found: dict[str, Any] = json.loads(TIME.sub("a time", json.dumps(body)))
    metadata = found.get("metadata", {})
    if "items" in found:
        assert metadata["resourceVersion"].isdigit()
        metadata["resourceVersion"] = "a version"
        if "continue" in metadata:
            metadata["continue"] = _token(metadata["continue"])
    for each in [found, *found.get("items", ())]:
        each.get("metadata", {}).get("managedFields", []).sort(key=lambda entry: json.dumps(entry, sort_keys=True))
    return found


def _token(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(found["rv"], int)
    return found | {"rv": "a version"}
