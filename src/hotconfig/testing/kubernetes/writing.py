"""Creating, updating and deleting objects: from a decoded body to the store, in the order of the server.

Every write, by whichever verb, ends in ``Writer.create``, ``Writer.update`` or ``Writer.delete``.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from hotconfig.testing.kubernetes import defaults, managed, schema, validation
from hotconfig.testing.kubernetes.access import Access
from hotconfig.testing.kubernetes.admission import Admission, check_deletable
from hotconfig.testing.kubernetes.managed import Claims, Owner
from hotconfig.testing.kubernetes.rbac import User
from hotconfig.testing.kubernetes.resources import (
    CLAIMS,
    NAMESPACES,
    PODS,
    QUOTAS,
    SERVICE_ACCOUNTS,
    WITH_STATUS,
    Target,
)
from hotconfig.testing.kubernetes.statuses import MODIFIED, ApiError, already_exists, conflict, not_found, refused
from hotconfig.testing.kubernetes.store import Store
from hotconfig.testing.kubernetes.trees import Json, items, part

_SYSTEM: Final = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion", "namespace")
_RETURNED: Final = frozenset({PODS, QUOTAS, SERVICE_ACCOUNTS, CLAIMS})
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes what, and how."""

    target: Target
    user: User
    manager: str
    dry_run: bool = False
    operation: str = "Update"

    @property
    def owner(self) -> Owner:
        resource = self.target.resource
        return Owner(self.operation, self.manager, resource.api_version, self.target.subresource)


class Writer:
    """The only one who changes the store, the charging of quotas apart."""

    def __init__(self, store: Store, access: Access, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._access = access
        self._admission = Admission(store)
        self._clock = clock

    def now(self) -> str:
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def live(self, target: Target) -> Json | None:
        return self._store.get(target.resource, _space(target), target.name)

    def existing(self, target: Target) -> Json:
        found = self.live(target)
        if found is None:
            raise not_found(target.resource, target.name)
        return found

    def create(self, write: Write, value: Json, claims: Claims | None = None) -> Json:
        """Store a new object, normalised already. ``claims`` are those of an apply; else the writer owns all of it."""
        resource, target = write.target.resource, write.target
        value = defaults.on_reading(resource, _new(target, value))
        if claims is None:
            claims = managed.update(schema.of(resource), {}, value, {}, write.owner, time=self.now())
        name = value["metadata"].get("name", "")
        self._admission.check_namespace(target, name)
        value = self._admission.mutated(target, value)
        if name:
            self._access.check_escalation(write.user, target, value)
        value = defaults.on_creating(resource, value)
        refused(validation.on_creating(resource, value), resource, name)
        self._admission.check(target, value)
        self._check_free(target, name)
        value = _with_claims(_born(value, self.now()), claims)
        if write.dry_run:
            return value
        kept = self._store.put(resource, value)
        self._admission.charge(target, kept)
        return kept

    def _check_free(self, target: Target, name: str) -> None:
        known = self._store.get(target.resource, _space(target), name)
        if known is not None:
            raise already_exists(target.resource, name, deleting="deletionTimestamp" in known["metadata"])

    def update(self, write: Write, live: Json, value: Json, claims: Claims | None = None) -> Json:
        """Store ``value``, normalised already, in the place of ``live``; unchanged objects keep their version."""
        resource = write.target.resource
        version = value["metadata"].get("resourceVersion", live["metadata"]["resourceVersion"])
        if version != live["metadata"]["resourceVersion"]:
            raise conflict(resource, write.target.name, MODIFIED)
        resets = value["metadata"].get("managedFields") in ([], [{}]) and write.operation == "Update"
        value = defaults.on_reading(resource, _kept_apart(write.target, live, value))
        value = _with_system_fields(live, value)
        if claims is None:
            known: Claims = {} if resets else managed.read(live["metadata"].get("managedFields"))
            claims = managed.update(schema.of(resource), live, value, known, write.owner, time=self.now())
        if not write.target.subresource:
            self._access.check_escalation(write.user, write.target, value)
        refused(validation.on_updating(resource, live, value), resource, write.target.name)
        value = _with_claims(value, claims)
        if _same(live, value):
            return live
        if defaults.has_generation(resource) and _desired(live) != _desired(value):
            value["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1
        if write.dry_run:
            return value
        if "deletionTimestamp" in value["metadata"] and not _held(value):
            self._store.remove(resource, value)
            return value
        return self._store.put(resource, value)

    def delete(self, write: Write, preconditions: Json) -> Json | None:
        """Delete the target. The object if it is (or was) one the server returns, None for a plain success."""
        target, resource = write.target, write.target.resource
        live = self.existing(target)
        check_deletable(resource, target.name)
        _check_preconditions(target, live, preconditions)
        if resource == NAMESPACES or _held(live):
            return self._ending(write, live)
        if not write.dry_run:
            self._store.remove(resource, live)
        return live if resource in _RETURNED else None

    def _ending(self, write: Write, live: Json) -> Json:
        if "deletionTimestamp" in live["metadata"]:
            return live
        ending = live | {"metadata": live["metadata"] | {"deletionTimestamp": self.now()}}
        if write.target.resource == NAMESPACES:
            ending["status"] = {**part(live, "status"), "phase": "Terminating"}
        return ending if write.dry_run else self._store.put(write.target.resource, ending)


def _space(target: Target) -> str:
    return target.namespace if target.resource.namespaced else ""


def _new(target: Target, value: Json) -> Json:
    """The body of a create with the namespace of the path, a generated name, and nothing that only the server sets."""
    dropped = {"uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields", "resourceVersion"}
    metadata = {key: each for key, each in part(value, "metadata").items() if key not in dropped}
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_LETTERS) for _ in range(5))
    if target.resource.namespaced:
        metadata["namespace"] = target.namespace
    resource = target.resource
    found = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    reset = {"status"} if resource in WITH_STATUS else set[str]()
    return found | {key: each for key, each in value.items() if key not in found and key not in reset}


def _born(value: Json, now: str) -> Json:
    return value | {"metadata": value["metadata"] | {"uid": str(uuid.uuid4()), "creationTimestamp": now}}


def _with_claims(value: Json, claims: Claims) -> Json:
    metadata = {key: each for key, each in value["metadata"].items() if key != "managedFields"}
    written = managed.written(claims)
    return value | {"metadata": metadata | ({"managedFields": written} if written else {})}


def _with_system_fields(live: Json, value: Json) -> Json:
    known = {key: live["metadata"][key] for key in _SYSTEM if key in live["metadata"]}
    stated = {key: each for key, each in value["metadata"].items() if key not in {"generation", "deletionTimestamp"}}
    return value | {"metadata": known | stated}


def _kept_apart(target: Target, live: Json, value: Json) -> Json:
    """An update of the object leaves its status, one of the status leaves all else."""
    if target.subresource == "status":
        metadata = live["metadata"] | {"resourceVersion": value["metadata"].get("resourceVersion", "")}
        if not metadata["resourceVersion"]:
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        return live | {"metadata": metadata, "status": part(value, "status")}
    if target.resource in WITH_STATUS:
        kept = {"status": live["status"]} if "status" in live else {}
        value = {key: each for key, each in value.items() if key != "status"} | kept
    if target.resource == NAMESPACES:
        value = value | {"spec": live["spec"]}
    return value


def _same(live: Json, value: Json) -> bool:
    """Whether nothing but times differs."""
    return _timeless(live) == _timeless(value)


def _timeless(value: Json) -> Json:
    entries = items(value["metadata"], "managedFields")
    kept = [{key: each for key, each in entry.items() if key != "time"} for entry in entries]
    return value | {"metadata": value["metadata"] | {"managedFields": kept}}


def _desired(value: Json) -> Json:
    return {key: each for key, each in value.items() if key not in {"metadata", "status"}}


def _held(value: Json) -> bool:
    return bool(value["metadata"].get("finalizers") or part(value, "spec").get("finalizers"))


def _check_preconditions(target: Target, live: Json, preconditions: Json) -> None:
    for key, shown in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, found = preconditions.get(key), live["metadata"][key]
        if wanted is not None and wanted != found:
            why = f"Precondition failed: {shown} in precondition: {wanted}, {shown} in object meta: {found}"
            raise conflict(target.resource, target.name, why)


def check_uid(target: Target, live: Json, value: Json) -> None:
    """An update by PUT that names another UID is about another object."""
    wanted = value["metadata"].get("uid")
    if wanted:
        _check_preconditions(target, live, {"uid": wanted})


def misnamed(found: str, wanted: str, *, what: str = "name") -> ApiError:
    return ApiError(400, f"the {what} of the object ({found}) does not match the {what} on the URL ({wanted})")
