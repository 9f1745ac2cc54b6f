"""What stands between a decoded object and the store: namespaces that end, sizes, Pod Security, quotas.

Reads the store; writes it only to charge a quota for what was let in.
"""

from __future__ import annotations

from typing import Final

from hotconfig.testing.kubernetes import defaults, podsecurity, quotas
from hotconfig.testing.kubernetes.resources import (
    LIMIT_RANGES,
    NAMESPACES,
    PODS,
    QUOTAS,
    SERVICE_ACCOUNTS,
    Resource,
    Target,
)
from hotconfig.testing.kubernetes.statuses import forbidden, not_found
from hotconfig.testing.kubernetes.store import Store
from hotconfig.testing.kubernetes.trees import Json, part

UNDELETABLE: Final = frozenset({"default", "kube-system", "kube-public"})


class Admission:
    """The plugins of the server, in its order."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check_namespace(self, target: Target, name: str) -> None:
        """Raise 404 for a namespace that is not there, 403 for one that is going."""
        if not target.resource.namespaced:
            return
        namespace = self._store.get(NAMESPACES, "", target.namespace)
        if namespace is None:
            raise not_found(NAMESPACES, target.namespace)
        if "deletionTimestamp" in namespace["metadata"]:
            why = f"unable to create new content in namespace {target.namespace} because it is being terminated"
            error = forbidden(target.resource, name, why)
            message = f"namespace {target.namespace} is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
            error.details = (error.details or {}) | {"causes": [cause]}
            raise error

    def mutated(self, target: Target, value: Json) -> Json:
        """``value`` as the mutating plugins leave it."""
        if target.resource != PODS:
            return value
        sized = quotas.limited(value, self._store.within(LIMIT_RANGES, target.namespace))
        pod = defaults.admitted_pod(sized)
        account = pod["spec"]["serviceAccountName"]
        if self._store.get(SERVICE_ACCOUNTS, target.namespace, account) is None:
            missing = f'serviceaccount "{account}" not found'
            why = f"error looking up service account {target.namespace}/{account}: {missing}"
            raise forbidden(PODS, value["metadata"].get("name", ""), why)
        return pod

    def check(self, target: Target, value: Json) -> None:
        """Raise the 403 of Pod Security or of a quota."""
        name = value["metadata"]["name"]
        if target.resource == PODS:
            namespace = self._store.get(NAMESPACES, "", target.namespace) or {"metadata": {}}
            why = podsecurity.violation(part(namespace["metadata"], "labels"), value)
            if why:
                raise forbidden(PODS, name, why)
        for quota in self._quotas(target):
            why = quotas.refusal(quota, target.resource, value)
            if why:
                raise forbidden(target.resource, name, why)

    def charge(self, target: Target, value: Json) -> None:
        """Count ``value``, which was stored, against the quotas of its namespace."""
        for quota in self._quotas(target):
            after = quotas.charged(quota, target.resource, value)
            if after != part(quota, "status", "used"):
                self._store.put(QUOTAS, quota | {"status": quota["status"] | {"used": after}})

    def _quotas(self, target: Target) -> list[Json]:
        found = self._store.within(QUOTAS, target.namespace) if target.resource.namespaced else []
        return sorted(found, key=lambda quota: str(quota["metadata"]["name"]))


def check_deletable(resource: Resource, name: str) -> None:
    if resource == NAMESPACES and name in UNDELETABLE:
        raise forbidden(NAMESPACES, name, "this namespace may not be deleted")
