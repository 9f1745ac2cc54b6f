"""Which resources the double serves, and what a path names. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, as the API server files it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def gvk(self) -> str:
        """``/v1, Kind=ResourceQuota``, as Go prints it."""
        return f"{self.group}/{self.version}, Kind={self.kind}"

    @property
    def qualified(self) -> str:
        """``rolebindings.rbac.authorization.k8s.io``; the core group adds nothing."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _core(plural: str, kind: str, *, namespaced: bool = True) -> Resource:
    return Resource("", "v1", plural, kind, namespaced)


RBAC: Final = "rbac.authorization.k8s.io"
ADMISSION: Final = "admissionregistration.k8s.io"
AUTHORIZATION: Final = "authorization.k8s.io"

NAMESPACES: Final = _core("namespaces", "Namespace", namespaced=False)
PODS: Final = _core("pods", "Pod")
QUOTAS: Final = _core("resourcequotas", "ResourceQuota")
LIMIT_RANGES: Final = _core("limitranges", "LimitRange")
SERVICE_ACCOUNTS: Final = _core("serviceaccounts", "ServiceAccount")
CONFIG_MAPS: Final = _core("configmaps", "ConfigMap")
CLAIMS: Final = _core("persistentvolumeclaims", "PersistentVolumeClaim")
ROLES: Final = Resource(RBAC, "v1", "roles", "Role")
ROLE_BINDINGS: Final = Resource(RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLES: Final = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
SELF_ACCESS: Final = Resource(
    AUTHORIZATION, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
ACCESS: Final = Resource(AUTHORIZATION, "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)

REVIEWS: Final = frozenset({SELF_ACCESS, ACCESS})
"""Created to ask something, never stored."""

RESOURCES: Final = (
    *(NAMESPACES, PODS, QUOTAS, LIMIT_RANGES, SERVICE_ACCOUNTS, CONFIG_MAPS, CLAIMS),
    _core("secrets", "Secret"),
    _core("services", "Service"),
    _core("events", "Event"),
    _core("nodes", "Node", namespaced=False),
    *(ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, NETWORK_POLICIES),
    Resource("networking.k8s.io", "v1", "ingresses", "Ingress"),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("apps", "v1", "replicasets", "ReplicaSet"),
    Resource("apps", "v1", "statefulsets", "StatefulSet"),
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    Resource("batch", "v1", "jobs", "Job"),
    Resource("batch", "v1", "cronjobs", "CronJob"),
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False),
    Resource(
        ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
    ),
    *(SELF_ACCESS, ACCESS),
)

_BY_PATH: Final = {(each.group, each.version, each.plural): each for each in RESOURCES}
_BY_KIND: Final = {(each.api_version, each.kind): each for each in RESOURCES}

WITH_STATUS: Final = frozenset({NAMESPACES, PODS, QUOTAS, CLAIMS}) | {
    each for each in RESOURCES if each.group in {"apps", "batch", "policy", ADMISSION} or each.plural == "services"
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a collection when ``name`` is empty, in all namespaces when ``namespace`` is."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def by_kind(api_version: str, kind: str) -> Resource | None:
    return _BY_KIND.get((api_version, kind))


def parse(path: str) -> Target | None:
    """The target of ``/api/v1/…`` or ``/apis/GROUP/VERSION/…``; None for any other path and unknown resources."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and (group, version, rest[2]) in _BY_PATH:
        namespace, rest = rest[1], rest[2:]
    resource = _BY_PATH.get((group, version, rest[0]))
    if resource is None or len(rest) > 3 or (bool(namespace) and not resource.namespaced):
        return None
    if resource.namespaced and not namespace and len(rest) > 1:
        return None
    name, subresource = (*rest[1:], "", "")[:2]
    return Target(resource, namespace or (name if resource == NAMESPACES else ""), name, subresource)
