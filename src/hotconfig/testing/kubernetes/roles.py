"""The cluster roles that a server has from the start, and the provisioner's in the recording. Pure data.

``admin`` is what kube-apiserver 1.36 lists when somebody without the verb ``bind`` tries to bind it; ``edit`` and
``view`` are cut from it.
"""

from __future__ import annotations

from typing import Any, Final

from hotconfig.testing.kubernetes.rbac import Rule
from hotconfig.testing.kubernetes.resources import AUTHORIZATION, RBAC

_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")
_ALL: Final = (*_WRITE, *_READ)
_SORTED: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_KEPT: Final = ("create", "get", "list", "patch", "update", "watch")

_SECRET: Final = ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy")
_SEEN: Final = (
    *("bindings", "endpoints", "limitranges", "namespaces", "namespaces/status", "persistentvolumeclaims/status"),
    *("pods/log", "pods/status", "replicationcontrollers/status", "resourcequotas", "resourcequotas/status"),
    "services/status",
)
_USED: Final = (
    *("configmaps", "events", "persistentvolumeclaims", "pods", "replicationcontrollers"),
    *("replicationcontrollers/scale", "services"),
)
_SCALED: Final = ("deployments", "deployments/scale", "replicasets", "replicasets/scale")
_APPS: Final = ("daemonsets", *_SCALED, "statefulsets", "statefulsets/scale")
_APPS_STATUS: Final = ("daemonsets/status", "deployments/status", "replicasets/status", "statefulsets/status")
_OLD: Final = (
    "daemonsets",
    *_SCALED,
    *("ingresses", "networkpolicies", "replicationcontrollers/scale"),
)
_OLD_STATUS: Final = ("daemonsets/status", "deployments/status", "ingresses/status", "replicasets/status")

_VIEW: Final = (
    Rule(_READ, ("",), _SEEN),
    Rule(_READ, ("apps",), ("controllerrevisions", *_APPS_STATUS)),
    Rule(_READ, ("autoscaling",), ("horizontalpodautoscalers/status",)),
    Rule(_READ, ("batch",), ("cronjobs/status", "jobs/status")),
    Rule(_READ, ("discovery.k8s.io",), ("endpointslices",)),
    Rule(_READ, ("extensions",), _OLD_STATUS),
    Rule(_READ, ("networking.k8s.io",), ("ingresses/status",)),
    Rule(_READ, ("policy",), ("poddisruptionbudgets/status",)),
    Rule(_READ, ("resource.k8s.io",), ("resourceclaims/status",)),
)
_EDITED: Final = (
    (("",), _USED),
    (("apps",), _APPS),
    (("autoscaling",), ("horizontalpodautoscalers",)),
    (("batch",), ("cronjobs", "jobs")),
    (("events.k8s.io",), ("events",)),
    (("extensions",), _OLD),
    (("networking.k8s.io",), ("ingresses", "networkpolicies")),
    (("policy",), ("poddisruptionbudgets",)),
    (("resource.k8s.io",), ("resourceclaims", "resourceclaimtemplates")),
)
_EDIT: Final = (
    Rule((*_READ, *_WRITE), ("",), _SECRET),
    Rule(("impersonate", *_ALL), ("",), ("serviceaccounts",)),
    Rule(("create",), ("",), ("serviceaccounts/token", "pods/eviction")),
    Rule(_WRITE, ("apps", "extensions"), ("deployments/rollback",)),
    Rule(_SORTED, ("coordination.k8s.io",), ("leases",)),
    *(Rule(_ALL, groups, resources) for groups, resources in _EDITED),
)
_ADMIN: Final = (
    Rule(("create",), (AUTHORIZATION,), ("localsubjectaccessreviews",)),
    Rule(_SORTED, (RBAC,), ("rolebindings", "roles")),
)

PROVISIONER: Final = (
    Rule(_KEPT, ("",), ("namespaces", "resourcequotas", "limitranges", "serviceaccounts")),
    Rule(("update",), ("",), ("resourcequotas/status",)),
    Rule(_KEPT, ("networking.k8s.io",), ("networkpolicies",)),
    Rule(_KEPT, (RBAC,), ("rolebindings",)),
)
"""What the provisioner of the recording held, without ``bind``: it could bind nothing that it did not hold itself."""


def bind(*names: str) -> Rule:
    """The right to bind these cluster roles, whatever is in them."""
    return Rule(("bind",), (RBAC,), ("clusterroles",), names)


_OPEN: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY: Final = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_OPEN)
_REVIEWS: Final = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")

BOOTSTRAP: Final[dict[str, tuple[Rule, ...]]] = {
    "cluster-admin": (Rule(("*",), ("*",), ("*",)), Rule(("*",), paths=("*",))),
    "admin": (*_EDIT, *_ADMIN, *_VIEW),
    "edit": (*_EDIT, *_VIEW),
    "view": (
        *_VIEW,
        *(Rule(_READ, groups, resources) for groups, resources in _EDITED),
        Rule(_READ, ("",), ("serviceaccounts",)),
    ),
    "system:basic-user": (Rule(("create",), (AUTHORIZATION,), _REVIEWS),),
    "system:discovery": (Rule(("get",), paths=_DISCOVERY),),
    "system:public-info-viewer": (Rule(("get",), paths=_OPEN),),
}

BOUND: Final[dict[str, tuple[str, ...]]] = {
    "cluster-admin": ("system:masters",),
    "system:basic-user": ("system:authenticated",),
    "system:discovery": ("system:authenticated",),
    "system:public-info-viewer": ("system:authenticated", "system:unauthenticated"),
}
"""The groups that each of them is bound to."""


def cluster_role(name: str, rules: tuple[Rule, ...]) -> dict[str, Any]:
    listed = [rule.written() for rule in rules]
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": listed}


def cluster_role_binding(name: str, role: str, *subjects: tuple[str, str]) -> dict[str, Any]:
    """Bind ``role`` to ``subjects``: (``User`` or ``Group``, name) each."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": kind, "name": each} for kind, each in subjects],
    }
