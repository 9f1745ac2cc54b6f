"""What the server fills in: on reading an object, on creating it, and by admission. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hotconfig.testing.kubernetes.resources import NAMESPACES, PODS, QUOTAS, RBAC, Resource
from hotconfig.testing.kubernetes.trees import Json, items, part

NAME_LABEL: Final = "kubernetes.io/metadata.name"

_TOLERATED: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def on_reading(resource: Resource, value: Json) -> Json:
    """Defaults that count as written by whoever sends the object: they enter managedFields on POST."""
    fill = _ON_READING.get(resource.kind)
    return fill(value) if fill else value


def _namespace(value: Json) -> Json:
    metadata = value["metadata"]
    if not metadata.get("name"):
        return value
    labels = part(metadata, "labels") | {NAME_LABEL: metadata["name"]}
    return value | {"metadata": metadata | {"labels": labels}}


def _network_policy(value: Json) -> Json:
    filled: Json = {"podSelector": {}}
    spec = filled | part(value, "spec")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for direction in ("ingress", "egress"):
        if spec.get(direction):
            spec[direction] = [_peer_rule(rule) for rule in spec[direction]]
    return value | {"spec": spec}


def _peer_rule(rule: Json) -> Json:
    if "ports" not in rule:
        return rule
    return rule | {"ports": [{"protocol": "TCP"} | port for port in rule["ports"]]}


def _binding(value: Json) -> Json:
    subjects = [_subject(subject) for subject in items(value, "subjects")]
    reference = {"apiGroup": RBAC} | part(value, "roleRef")
    return value | {"roleRef": reference} | ({"subjects": subjects} if subjects else {})


def _subject(subject: Json) -> Json:
    return subject if subject.get("kind") == "ServiceAccount" else {"apiGroup": RBAC} | subject


def _limit_range(value: Json) -> Json:
    limits = [_limit(limit) for limit in items(value, "spec", "limits")]
    return value | {"spec": part(value, "spec") | {"limits": limits}}


def _limit(limit: Json) -> Json:
    """A container's missing default is its maximum; its missing default request is its default, else its minimum."""
    if limit.get("type") != "Container":
        return limit
    default = part(limit, "max") | part(limit, "default")
    request = part(limit, "min") | default | part(limit, "defaultRequest")
    found = {"default": default, "defaultRequest": request}
    return limit | {key: amounts for key, amounts in found.items() if amounts}


def _pod(value: Json) -> Json:
    filled: Json = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    spec = filled | part(value, "spec")
    spec["containers"] = [_container(each) for each in items(spec, "containers")]
    return value | {"spec": spec}


def _container(container: Json) -> Json:
    tag = str(container.get("image", "")).rpartition("/")[2].partition(":")[2]
    filled: Json = {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "Always" if tag in {"", "latest"} else "IfNotPresent",
        "resources": {},
    }
    found = filled | container
    limits, requests = part(found["resources"], "limits"), part(found["resources"], "requests")
    if limits:
        found["resources"] = found["resources"] | {"requests": limits | requests}
    return found


_ON_READING: Final[dict[str, Callable[[Json], Json]]] = {
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "LimitRange": _limit_range,
    "Pod": _pod,
}


def on_creating(resource: Resource, value: Json) -> Json:
    """What nobody owns: finalizers, the first status, the first generation."""
    if resource == NAMESPACES:
        return value | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    if resource == PODS:
        value = value | {"status": {"phase": "Pending", "qosClass": quality(value["spec"])}}
    elif resource == QUOTAS:
        value = value | {"spec": part(value, "spec"), "status": {}}
    if has_generation(resource):
        value = value | {"metadata": value["metadata"] | {"generation": 1}}
    return value


def has_generation(resource: Resource) -> bool:
    return resource.group in {"apps", "batch", "networking.k8s.io", "policy"} or resource == PODS


def admitted_pod(pod: Json) -> Json:
    """A pod as the ServiceAccount, Priority and DefaultTolerationSeconds plugins leave it.

    Without the volume of the token: the double has no tokens to mount.
    """
    spec: Json = pod["spec"]
    account = spec.get("serviceAccountName") or "default"
    tolerations = list(items(spec, "tolerations"))
    known = {each.get("key") for each in tolerations if each.get("effect") in {None, "NoExecute"}}
    tolerations += [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in _TOLERATED
        if key not in known
    ]
    filled = {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}
    filled |= {"serviceAccountName": account, "serviceAccount": account, "tolerations": tolerations}
    return pod | {"spec": spec | filled}


def quality(spec: Json) -> str:
    """The ``qosClass``: Guaranteed, Burstable or BestEffort."""
    sizes = [part(container, "resources") for container in items(spec, "containers")]
    if not any(size.get("limits") or size.get("requests") for size in sizes):
        return "BestEffort"
    alike = all(
        {"cpu", "memory"} <= part(size, "limits").keys() and part(size, "requests") == part(size, "limits")
        for size in sizes
    )
    return "Guaranteed" if alike else "Burstable"
