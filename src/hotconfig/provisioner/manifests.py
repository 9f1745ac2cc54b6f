"""What a cluster needs for the provisioner: least privilege, policies, and the reconciler. Pure.

Two identities: the provisioner creates and changes, and cannot delete; the purger deletes, and can do nothing else. A
backend that only creates tenants needs the first alone. Neither may escalate or impersonate, and the provisioner may
bind one ClusterRole by name. What RBAC cannot say, three admission policies do, without a webhook to run:

fence   the two identities touch nothing outside ``org-*``, and bind nobody but groups of that organization
guard   tenants leave alone what the provisioner made, and open no network
cordon  in a namespace with the label nothing new starts
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from hotconfig.provisioner.template import CORDONED, MANAGED_BY, MANAGER, TENANT_ADMIN, Manifest

NAMESPACE: Final = "hotconfig-system"
PROVISIONER: Final = "hotconfig-provisioner"
PURGER: Final = "hotconfig-purger"
PURGER_TOKEN: Final = "/var/run/secrets/hotconfig-purger"  # noqa: S105 - where it is mounted, not what it is
RBAC: Final = "rbac.authorization.k8s.io"
POLICIES: Final = ("hotconfig-fence", "hotconfig-guard", "hotconfig-cordon")
WRITE: Final = ["create", "get", "list", "patch", "update"]
READ: Final = ["get", "list", "watch"]
ALL: Final = [*READ, "create", "update", "patch", "delete", "deletecollection"]


def manifests(
    *, namespace: str = NAMESPACE, cluster_role: str = TENANT_ADMIN, image: str = "hotconfig:latest", replicas: int = 2
) -> tuple[Manifest, ...]:
    """Everything, in the order in which it is to be applied.

    Args:
        namespace: Where the provisioner lives. It is no tenant's.
        cluster_role: The only role that it may bind; the template's.
        image: With hotconfig and its extra ``provisioner`` inside.
        replicas: Any number works side by side.
    """
    return (
        *_identities(namespace),
        *_roles(namespace, cluster_role),
        *policies(namespace),
        *_reconciler(namespace, image, replicas),
    )


def _identities(namespace: str) -> Iterator[Manifest]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    for name in (PROVISIONER, PURGER):
        yield _made("v1", "ServiceAccount", name, namespace, automountServiceAccountToken=False)


def _roles(namespace: str, cluster_role: str) -> Iterator[Manifest]:
    yield _cluster_role(PROVISIONER, [*provisioner_rules(cluster_role), *doctor_rules()])
    yield _cluster_role(PURGER, purger_rules())
    yield _cluster_role(TENANT_ADMIN, tenant_admin_rules())
    for name in (PROVISIONER, PURGER):
        yield _made(
            f"{RBAC}/v1",
            "ClusterRoleBinding",
            name,
            roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            subjects=[{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        )


def provisioner_rules(cluster_role: str) -> list[Manifest]:
    """What the provisioner may. ``bind`` by name: it grants what it does not hold itself, but nothing else."""
    return [
        _rule("", ["namespaces"], ["create", "get", "list", "patch"]),
        _rule("", ["resourcequotas", "limitranges", "serviceaccounts"], WRITE),
        _rule("", ["resourcequotas/status"], ["update"]),
        _rule("networking.k8s.io", ["networkpolicies"], WRITE),
        _rule(RBAC, ["rolebindings"], WRITE),
        {**_rule(RBAC, ["clusterroles"], ["bind"]), "resourceNames": [cluster_role]},
    ]


def doctor_rules() -> list[Manifest]:
    """What ``doctor`` wants beside that, to see whether the admission policies are there. No work needs it."""
    kinds = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"]
    return [{**_rule("admissionregistration.k8s.io", kinds, ["get"]), "resourceNames": list(POLICIES)}]


def purger_rules() -> list[Manifest]:
    """What the purger may: remove namespaces, bindings of a former role, and quotas that cannot be repaired."""
    return [
        _rule("", ["namespaces", "resourcequotas"], ["delete"]),
        _rule(RBAC, ["rolebindings"], ["delete"]),
    ]


def tenant_admin_rules() -> list[Manifest]:
    """What a tenant's administrators may. Beside ``admin`` they lack writing what fences them in.

    That is NetworkPolicies, quotas, limit ranges, roles and role bindings; and acting as a ServiceAccount.
    """
    return [
        _rule("", ["pods", "services", "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts"], ALL),
        _rule("", ["replicationcontrollers", "replicationcontrollers/scale"], ALL),
        _rule("", ["pods/attach", "pods/exec", "pods/portforward", "pods/eviction"], ["create", "get"]),
        _rule("", ["pods/log", "pods/status", "events", "endpoints", "namespaces"], READ),
        _rule("", ["resourcequotas", "limitranges"], READ),
        _rule("apps", ["deployments", "statefulsets", "daemonsets", "replicasets"], ALL),
        _rule("apps", ["deployments/scale", "statefulsets/scale", "replicasets/scale"], ["get", "update", "patch"]),
        _rule("batch", ["jobs", "cronjobs"], ALL),
        _rule("autoscaling", ["horizontalpodautoscalers"], ALL),
        _rule("policy", ["poddisruptionbudgets"], ALL),
        _rule("networking.k8s.io", ["ingresses"], ALL),
        _rule("networking.k8s.io", ["networkpolicies"], READ),
        _rule("discovery.k8s.io", ["endpointslices"], READ),
        _rule(RBAC, ["roles", "rolebindings"], READ),
    ]


# admission policies -----------------------------------------------------------------------------------------

_FENCED: Final[list[tuple[str, list[str]]]] = [
    ("", ["namespaces", "resourcequotas", "resourcequotas/status", "limitranges", "serviceaccounts"]),
    ("networking.k8s.io", ["networkpolicies"]),
    (RBAC, ["rolebindings"]),
]

_OURS_OLD: Final = (
    f"oldObject != null && has(oldObject.metadata.labels) && '{MANAGED_BY}' in oldObject.metadata.labels"
    f" && oldObject.metadata.labels['{MANAGED_BY}'] == '{MANAGER}'"
)


def policies(namespace: str = NAMESPACE) -> Iterator[Manifest]:
    """The three admission policies, each with its binding. CEL as of Kubernetes 1.30, no parameters."""
    for name, spec in zip(POLICIES, (_fence(namespace), _guard(), _cordon()), strict=True):
        group = "admissionregistration.k8s.io/v1"
        yield _made(group, "ValidatingAdmissionPolicy", name, spec={"failurePolicy": "Fail", **spec})
        bound = {"policyName": name, "validationActions": ["Deny"]}
        yield _made(group, "ValidatingAdmissionPolicyBinding", name, spec=bound)


def _fence(namespace: str) -> Manifest:
    users = ", ".join(f"'system:serviceaccount:{namespace}:{name}'" for name in (PROVISIONER, PURGER))
    return {
        "matchConstraints": {"resourceRules": _resources(["CREATE", "UPDATE", "DELETE"], _FENCED)},
        "matchConditions": [{"name": "by-the-provisioner", "expression": f"request.userInfo.username in [{users}]"}],
        "validations": [
            {
                "expression": "request.resource.resource == 'namespaces' ? request.name.startsWith('org-')"
                " : request.namespace.startsWith('org-')",
                "message": "the provisioner touches nothing outside org-*",
            },
            {
                # Not only itself: nobody but groups of the organization whose namespace it is.
                "expression": "request.resource.resource != 'rolebindings' || request.operation == 'DELETE'"
                " || !has(object.subjects) || object.subjects.all(s, s.kind == 'Group'"
                " && s.name.startsWith('org:' + request.namespace.substring(4) + ':'))",
                "message": "the provisioner binds nobody but groups of the organization itself",
            },
        ],
    }


def _guard() -> Manifest:
    # By who asks, not by who does not: the control plane and operators are left alone.
    tenants = "request.userInfo.groups.exists(g, g.startsWith('org:') || g.startsWith('system:serviceaccounts:org-'))"
    return {
        "matchConstraints": {"resourceRules": _resources(["CREATE", "UPDATE", "DELETE"], _FENCED)},
        "matchConditions": [{"name": "by-a-tenant", "expression": tenants}],
        "validations": [
            {
                "expression": f"!({_OURS_OLD})",
                "message": "this object belongs to the baseline of the tenant: ask the platform to change it",
            },
            {
                # A further policy adds to what is allowed, whatever deny-all says.
                "expression": "request.resource.resource != 'networkpolicies' || request.operation == 'DELETE'",
                "message": "the network of a tenant is opened by the platform",
            },
        ],
    }


def _cordon() -> Manifest:
    return {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {CORDONED: "true"}},
            "resourceRules": [
                *_resources(["CREATE"], [("", ["pods"])]),
                *_resources(["UPDATE"], [("", ["pods/ephemeralcontainers"])]),
            ],
        },
        "validations": [{"expression": "false", "message": "this tenant is suspended: nothing new starts"}],
    }


def _resources(operations: list[str], groups: Sequence[tuple[str, list[str]]]) -> list[Manifest]:
    return [
        {"apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": names}
        for group, names in groups
    ]


# the reconciler ---------------------------------------------------------------------------------------------


def _reconciler(namespace: str, image: str, replicas: int) -> Iterator[Manifest]:
    # A token of the purger beside the pod's own: a pod has one ServiceAccount.
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": PURGER,
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": PURGER},
        },
    }
    labels = {"app.kubernetes.io/name": PROVISIONER}
    pod = {"metadata": {"labels": labels}, "spec": _pod(image)}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    yield _made("apps/v1", "Deployment", PROVISIONER, namespace, spec=spec)


def _pod(image: str) -> Manifest:
    container = {
        "name": "reconciler",
        "image": image,
        "command": ["hotconfig-provisioner", "run"],
        "env": [
            {
                "name": "HOTCONFIG_DATABASE_URL",
                "valueFrom": {"secretKeyRef": {"name": "hotconfig-database", "key": "url"}},
            },
            {"name": "HOTCONFIG_PURGER_TOKEN_FILE", "value": f"{PURGER_TOKEN}/token"},
        ],
        "resources": {
            "requests": {"cpu": "50m", "memory": "96Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "purger", "mountPath": PURGER_TOKEN, "readOnly": True}],
    }
    return {
        "serviceAccountName": PROVISIONER,
        "automountServiceAccountToken": True,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "purger", "secret": {"secretName": PURGER}}],
    }


# writing them down ------------------------------------------------------------------------------------------


def as_yaml(objects: Sequence[Manifest]) -> str:
    """The objects as one YAML stream for ``kubectl apply -f -``. Every text is quoted that YAML could misread."""
    return "".join("---\n" + "\n".join(_lines(each, "")) + "\n" for each in objects)


_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def _lines(value: Any, indent: str) -> Iterator[str]:
    """The lines of a mapping or a sequence that holds something."""
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, Any]", value).items():
            yield from _entry(f"{indent}{_scalar(key)}:", inner, indent + "  ")
    else:
        for inner in cast("Sequence[Any]", value):
            if _is_nested(inner):
                first, *rest = _lines(inner, indent + "  ")
                yield f"{indent}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(inner)}"


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if _is_nested(value):
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list) and len(cast("Sequence[Any]", value)) > 0


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)  # JSON is YAML, empty mappings and lists included


def _rule(group: str, resources: list[str], verbs: Sequence[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}


def _cluster_role(name: str, rules: list[Manifest]) -> Manifest:
    return _made(f"{RBAC}/v1", "ClusterRole", name, rules=rules)


def _made(api_version: str, kind: str, name: str, namespace: str | None = None, **rest: Any) -> Manifest:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
