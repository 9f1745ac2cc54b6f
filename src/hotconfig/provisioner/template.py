"""What a tenant is made of: objects for Kubernetes, as plain dictionaries, in their order. Pure.

Every list that must be empty is written down as empty: apply leaves alone what a manifest does not mention, so a
deny-all policy without ``ingress: []`` would not close what somebody opened.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from hotconfig.core.tenants.records import Organization
from hotconfig.provisioner.asking import MAX_RETENTION_S, check_seconds
from hotconfig.provisioner.errors import TemplateError
from hotconfig.provisioner.model import Quota
from hotconfig.provisioner.names import group_of, namespace_of
from hotconfig.provisioner.quantities import check

Manifest = Mapping[str, Any]
"""An object as Kubernetes reads and writes it."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "hotconfig-provisioner"
"""The field manager of everything applied, and the value of ``MANAGED_BY``."""
CLAIM_MANAGER: Final = "hotconfig-claim"
"""The field manager of the POST that claims a namespace; another one, else apply could never remove what it set."""
SELECTOR: Final = f"{MANAGED_BY}={MANAGER}"
TENANT: Final = "hotconfig.dev/tenant"
ORG_ID: Final = "hotconfig.dev/org-id"
OPERATION_ID: Final = "hotconfig.dev/operation-id"
CORDONED: Final = "hotconfig.dev/cordoned"
"""Label of a namespace in which nothing new may start; the admission policy ``cordon`` reads it."""

QUOTA: Final = "hotconfig-quota"
LIMITS: Final = "hotconfig-limits"
DENY_ALL: Final = "hotconfig-deny-all"
ALLOW_DNS: Final = "hotconfig-allow-dns"
ALLOW_WITHIN: Final = "hotconfig-allow-within"
ADMIN: Final = "hotconfig-admin"
TENANT_ADMIN: Final = "tenant-admin"
"""The ClusterRole that manifests.py ships: like ``admin``, but the fences are out of reach."""

API_VERSIONS: Final[Mapping[str, str]] = {
    "Namespace": "v1",
    "ResourceQuota": "v1",
    "LimitRange": "v1",
    "ServiceAccount": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
}
"""The kinds that the provisioner has permissions for."""
FENCE_KINDS: Final = ("ResourceQuota", "LimitRange", "ServiceAccount", "NetworkPolicy")
LISTED_KINDS: Final = ("Namespace", *FENCE_KINDS, "RoleBinding")
"""One LIST for each of them shows all tenants."""

_VERSION: Final = re.compile(r"v1\.[0-9]{1,3}|latest")


class Key(NamedTuple):
    """An object within one namespace; the namespace itself has its own name."""

    kind: str
    name: str


def key_of(manifest: Manifest) -> Key:
    """Where an object belongs."""
    return Key(manifest["kind"], manifest["metadata"]["name"])


def part(manifest: Manifest, *path: str) -> Mapping[str, Any]:
    """What an object holds at ``path``; empty where there is nothing, or null."""
    found: Any = manifest
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return found if isinstance(found, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


@dataclass(frozen=True, slots=True)
class TenantTemplate:
    """What every tenant gets. Make another one to change the defaults; pass it to the ``Provisioner``.

    Attributes:
        pod_security_version: Pinned, so that an upgrade of the cluster changes nothing by itself.
        default_cpu, default_memory: Limits of a container that names none; without them the quota refuses it.
        default_request_cpu, default_request_memory: The same for requests.
        allow_within: Whether pods of one tenant may talk to each other.
        cluster_role: Bound to the group of ``role``. A role of another name is bound anew before the old binding goes.
        labels: For every object, beside ours.
        extra: Makes more objects of the ``FENCE_KINDS`` for an organization, in its namespace. They stand before
            anybody is let in, are repaired like the rest, and need no permission that manifests.py does not give.
        probe: Whether the isolation probes are made before an organization becomes active.
        retention_s: How long an offboarded organization can be restored, in seconds.
        quarantine_s: How long the name of a deleted one stays unused, in seconds.
    """

    pod_security: str = "restricted"
    pod_security_version: str = "v1.36"
    default_cpu: str = "500m"
    default_memory: str = "512Mi"
    default_request_cpu: str = "100m"
    default_request_memory: str = "128Mi"
    allow_within: bool = False
    cluster_role: str = TENANT_ADMIN
    role: str = "admin"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    extra: Callable[[Organization], tuple[Manifest, ...]] | None = None
    probe: bool = True
    retention_s: float = 30 * 86400.0
    quarantine_s: float = 90 * 86400.0

    def __post_init__(self) -> None:
        check("cpu", self.default_cpu)
        check("cpu", self.default_request_cpu)
        check("memory", self.default_memory)
        check("memory", self.default_request_memory)
        if self.pod_security not in {"restricted", "baseline"}:
            raise TemplateError("pod_security must be restricted or baseline: privileged is no fence")
        if not _VERSION.fullmatch(self.pod_security_version):
            raise TemplateError("pod_security_version must be a version of Kubernetes such as v1.36, or latest")
        for what, seconds in (("retention_s", self.retention_s), ("quarantine_s", self.quarantine_s)):
            check_seconds(what, seconds, most=MAX_RETENTION_S)
        if ours := [label for label in self.labels if label in {MANAGED_BY, TENANT, ORG_ID, CORDONED}]:
            raise TemplateError(f"the template may not set {', '.join(ours)}: these labels are the provisioner's")


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything one organization should have, in the order in which it is made.

    Attributes:
        claim: For POST, and nothing but the annotations that say whose it is.
        namespace: Labels, for apply; put the UID in with :func:`fenced`.
        quota: None where the rows say nothing understandable: what is in force stays in force.
        fences: All but the quota; side by side with it.
        binding: The gate, last of all. Its name is :data:`ADMIN` unless an old one with another role has that.
    """

    claim: Manifest
    namespace: Manifest
    quota: Manifest | None
    fences: tuple[Manifest, ...]
    binding: Manifest

    @property
    def behind_the_gate(self) -> tuple[Manifest, ...]:
        """What must stand before anybody is let in, but for the namespace's labels."""
        return self.fences if self.quota is None else (self.quota, *self.fences)


def desired(
    organization: Organization,
    template: TenantTemplate,
    quota: Quota | None,
    *,
    operation_id: str = "",
    cordoned: bool = False,
    isolated: bool = False,
) -> Desired:
    """What ``organization`` should have.

    ``cordoned``: nothing new may start; the label is read by the admission policy, and the quota allows no pod, so that
    it also holds where the policy is not installed. ``isolated``: also nobody is bound and the network is closed. None
    of it deletes an object, so the provisioner needs no such permission.

    Raises:
        TemplateError: ``template.extra`` makes what it may not.
    """
    make = _Maker(organization, template)
    fences = (
        make.limits(),
        make.service_account(),
        make.policy(DENY_ALL, ["Ingress", "Egress"], ingress=[], egress=[]),
        make.policy(ALLOW_DNS, ["Egress"], egress=[] if isolated else [_TO_DNS]),
        *make.within(closed=isolated),
        *make.extra(closed=isolated),
    )
    return Desired(
        claim=make.claim(operation_id),
        namespace=make.namespace(cordoned=cordoned or isolated),
        quota=None if quota is None else make.quota(quota, cordoned=cordoned or isolated),
        fences=fences,
        binding=make.binding(closed=isolated),
    )


def fenced(manifest: Manifest, uid: str) -> Manifest:
    """The same manifest with ``metadata.uid``: the API server answers 422 if that is not the object's."""
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}


def closed_policy(live_policy: Manifest) -> Manifest:
    """A NetworkPolicy of ours that is not wanted any more, for apply: it stays, but lets nothing through.

    Deleting it would take a permission that the provisioner should not have.
    """
    metadata = {key: live_policy["metadata"][key] for key in ("name", "namespace", "labels")}
    spec: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    return {"apiVersion": API_VERSIONS["NetworkPolicy"], "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def renamed(manifest: Manifest, name: str) -> Manifest:
    """The same manifest under another name."""
    return {**manifest, "metadata": {**manifest["metadata"], "name": name}}


def other_binding_name(cluster_role: str) -> str:
    """The name of a binding where :data:`ADMIN` is taken by one of another role, which cannot be changed."""
    return f"{ADMIN}-{hashlib.sha256(cluster_role.encode()).hexdigest()[:8]}"


def with_status(live_quota: Manifest) -> Manifest:
    """A ResourceQuota with ``status.hard`` as its spec has it, for PUT on its status.

    A quota does not enforce before that is there, and the controller may be slow or down. What is used stays as the
    controller counted it; what it has not counted yet is 0, which it corrects. The resourceVersion is ``live_quota``'s:
    409 says that the controller was first.
    """
    hard = dict(live_quota["spec"]["hard"])
    counted = live_quota.get("status", {}).get("used", {})
    used = {resource: counted.get(resource, "0") for resource in hard}
    named = {"apiVersion": API_VERSIONS["ResourceQuota"], "kind": "ResourceQuota"}
    return {**named, **live_quota, "status": {"hard": hard, "used": used}}


_TO_DNS: Final[Manifest] = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the objects of one organization."""

    organization: Organization
    template: TenantTemplate

    @property
    def _namespace(self) -> str:
        return self.organization.namespace or namespace_of(self.organization.slug)

    def _object(self, kind: str, name: str, **rest: Any) -> Manifest:
        metadata = {"name": name, "namespace": self._namespace, "labels": self._labels()}
        return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata, **rest}

    def _labels(self) -> dict[str, str]:
        return {
            **self.template.labels,
            MANAGED_BY: MANAGER,
            TENANT: self.organization.slug,
            ORG_ID: str(self.organization.uid),
        }

    def claim(self, operation_id: str) -> Manifest:
        annotations = {ORG_ID: str(self.organization.uid), OPERATION_ID: operation_id}
        metadata = {"name": self._namespace, "annotations": annotations}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def namespace(self, *, cordoned: bool) -> Manifest:
        labels = self._labels() | {
            "pod-security.kubernetes.io/enforce": self.template.pod_security,
            "pod-security.kubernetes.io/enforce-version": self.template.pod_security_version,
        }
        if cordoned:
            labels[CORDONED] = "true"
        # The annotation too: later applies would remove it where only an apply (of an adoption) had set it.
        annotations = {ORG_ID: str(self.organization.uid)}
        metadata = {"name": self._namespace, "labels": labels, "annotations": annotations}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def quota(self, quota: Quota, *, cordoned: bool) -> Manifest:
        hard = {
            "requests.cpu": str(quota.cpu),
            "requests.memory": str(quota.memory),
            "limits.cpu": str(quota.cpu),
            "limits.memory": str(quota.memory),
            "requests.storage": str(quota.storage),
        }
        return self._object("ResourceQuota", QUOTA, spec={"hard": hard | ({"pods": "0"} if cordoned else {})})

    def limits(self) -> Manifest:
        limit = {
            "type": "Container",
            "default": {"cpu": self.template.default_cpu, "memory": self.template.default_memory},
            "defaultRequest": {
                "cpu": self.template.default_request_cpu,
                "memory": self.template.default_request_memory,
            },
        }
        return self._object("LimitRange", LIMITS, spec={"limits": [limit]})

    def service_account(self) -> Manifest:
        return self._object("ServiceAccount", "default", automountServiceAccountToken=False)

    def policy(self, name: str, types: list[str], **rules: list[Manifest]) -> Manifest:
        return self._object("NetworkPolicy", name, spec={"podSelector": {}, "policyTypes": types, **rules})

    def within(self, *, closed: bool) -> tuple[Manifest, ...]:
        if not self.template.allow_within:
            return ()
        ingress: list[Manifest] = [] if closed else [{"from": [{"podSelector": {}}]}]
        egress: list[Manifest] = [] if closed else [{"to": [{"podSelector": {}}]}]
        return (self.policy(ALLOW_WITHIN, ["Ingress", "Egress"], ingress=ingress, egress=egress),)

    def extra(self, *, closed: bool) -> tuple[Manifest, ...]:
        if self.template.extra is None:
            return ()
        try:
            made = self.template.extra(self.organization)  # noqa: S610 - Django's is another
        except Exception as error:  # a platform's own code, about one tenant: the others go on
            said = f"{type(error).__name__}: {error}"
            raise TemplateError(f"the template's extra failed for {self.organization.slug!r}: {said}") from error
        return tuple(self._ours(manifest, closed=closed) for manifest in made)

    def _ours(self, manifest: Manifest, *, closed: bool) -> Manifest:
        """An object of the template's own, with our labels in the tenant's namespace; the network closed if wanted."""
        kind, metadata = manifest.get("kind"), manifest.get("metadata", {})
        name, namespace = metadata.get("name", ""), metadata.get("namespace", self._namespace)
        if kind not in FENCE_KINDS:
            raise TemplateError(f"the template may add {', '.join(FENCE_KINDS)}, not {kind}")
        if namespace != self._namespace or not name or name == "default" or name.startswith("hotconfig-"):
            raise TemplateError(
                f"the template adds {kind} {namespace}/{name}: choose another name, in the tenant's namespace"
            )
        labels = {**metadata.get("labels", {}), **self._labels()}
        ours = {**manifest, "apiVersion": API_VERSIONS[kind]}
        ours["metadata"] = {**metadata, "namespace": self._namespace, "labels": labels}
        if closed and kind == "NetworkPolicy":
            ours["spec"] = {**manifest["spec"], "ingress": [], "egress": []}
        return ours

    def binding(self, *, closed: bool) -> Manifest:
        group = "rbac.authorization.k8s.io"
        subject = {"apiGroup": group, "kind": "Group", "name": group_of(self.organization.slug, self.template.role)}
        return self._object(
            "RoleBinding",
            ADMIN,
            roleRef={"apiGroup": group, "kind": "ClusterRole", "name": self.template.cluster_role},
            subjects=[] if closed else [subject],
        )
