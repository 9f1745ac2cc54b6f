"""The shapes of objects: which fields there are, which merge key by key and which are replaced whole. Pure.

Kinds that the provisioner works with are written out; of the others every field is accepted, maps merge by key and
lists are replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from hotconfig.testing.kubernetes import quantities
from hotconfig.testing.kubernetes.resources import Resource
from hotconfig.testing.kubernetes.trees import is_list, is_map


@dataclass(frozen=True, slots=True)
class Atomic:
    """Replaced whole. ``inner`` is the shape within, of each item where it is a list."""

    inner: Node | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """One quantity."""


@dataclass(frozen=True, slots=True)
class Map:
    """A map whose keys are data: labels, ``hard``. Dropped when empty, as Go's omitempty does."""

    value: Node = field(default_factory=Atomic)


@dataclass(frozen=True, slots=True)
class Struct:
    """Named fields; ``open`` accepts others, of any shape."""

    fields: Mapping[str, Node]
    open: bool = False


@dataclass(frozen=True, slots=True)
class Keyed:
    """A list whose items are told apart by ``keys``."""

    keys: tuple[str, ...]
    item: Node


Node: TypeAlias = Atomic | Amount | Map | Struct | Keyed

LEAF: Final = Atomic()
ANY: Final = Struct({}, open=True)
AMOUNTS: Final = Map(Amount())


def _leaves(*names: str) -> dict[str, Node]:
    return dict.fromkeys(names, LEAF)


METADATA: Final = Struct(
    {
        **_leaves("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
        **_leaves("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "finalizers", "managedFields"),
        "labels": Map(),
        "annotations": Map(),
        "ownerReferences": Keyed(("uid",), ANY),
    }
)

_SELECTOR: Final = Struct(
    {"matchLabels": Map(), "matchExpressions": Atomic(Struct(_leaves("key", "operator", "values")))}
)
_PEER: Final = Struct(
    {
        "podSelector": _SELECTOR,
        "namespaceSelector": _SELECTOR,
        "ipBlock": Struct(_leaves("cidr", "except")),
    }
)
_PORT: Final = Struct(_leaves("protocol", "port", "endPort"))
_RULE: Final = Struct(_leaves("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"))
_ROLE_REF: Final = Atomic(Struct(_leaves("apiGroup", "kind", "name")))
_SUBJECTS: Final = Atomic(Struct(_leaves("apiGroup", "kind", "name", "namespace")))
_CONDITIONS: Final = Keyed(("type",), ANY)
_LIMITS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_CONTAINERS: Final = Keyed(
    ("name",),
    Struct({"resources": Struct({"limits": AMOUNTS, "requests": AMOUNTS}, open=True)}, open=True),
)

SCHEMAS: Final[Mapping[str, Mapping[str, Node]]] = {
    "Namespace": {
        "spec": Struct(_leaves("finalizers")),
        "status": Struct({**_leaves("phase"), "conditions": _CONDITIONS}),
    },
    "ResourceQuota": {
        "spec": Struct({"hard": AMOUNTS, **_leaves("scopes", "scopeSelector")}),
        "status": Struct({"hard": AMOUNTS, "used": AMOUNTS}),
    },
    "LimitRange": {"spec": Struct({"limits": Atomic(Struct({**_leaves("type"), **dict.fromkeys(_LIMITS, AMOUNTS)}))})},
    "ServiceAccount": {
        **_leaves("automountServiceAccountToken"),
        "secrets": Keyed(("name",), ANY),
        "imagePullSecrets": Atomic(ANY),
    },
    "NetworkPolicy": {
        "spec": Struct(
            {
                "podSelector": Atomic(_SELECTOR),
                "policyTypes": LEAF,
                "ingress": Atomic(Struct({"from": Atomic(_PEER), "ports": Atomic(_PORT)})),
                "egress": Atomic(Struct({"to": Atomic(_PEER), "ports": Atomic(_PORT)})),
            }
        )
    },
    "Role": {"rules": Atomic(_RULE)},
    "ClusterRole": {"rules": Atomic(_RULE), "aggregationRule": Atomic(ANY)},
    "RoleBinding": {"subjects": _SUBJECTS, "roleRef": _ROLE_REF},
    "ClusterRoleBinding": {"subjects": _SUBJECTS, "roleRef": _ROLE_REF},
    "ConfigMap": {"data": Map(), "binaryData": Map(), **_leaves("immutable")},
    "Secret": {"data": Map(), "stringData": Map(), **_leaves("immutable", "type")},
    "Pod": {
        "spec": Struct({"containers": _CONTAINERS, "initContainers": _CONTAINERS}, open=True),
        "status": ANY,
    },
    "PersistentVolumeClaim": {
        "spec": Struct({"resources": Struct({"limits": AMOUNTS, "requests": AMOUNTS})}, open=True),
        "status": ANY,
    },
}

_ROOTS: Final = {
    kind: Struct({**_leaves("apiVersion", "kind"), "metadata": METADATA, **fields}) for kind, fields in SCHEMAS.items()
}
_UNKNOWN: Final = Struct({**_leaves("apiVersion", "kind"), "metadata": METADATA}, open=True)


def of(resource: Resource) -> Struct:
    return _ROOTS.get(resource.kind, _UNKNOWN)


def child(node: Node, key: str, value: object) -> Node:
    """The shape of the field ``key`` of ``node``, whose value helps where the shape is not written down."""
    if isinstance(node, Struct):
        known = node.fields.get(key)
        if known is not None:
            return known
    elif isinstance(node, Map):
        return node.value
    return ANY if is_map(value) else LEAF


def unknown_fields(node: Node, value: Any, path: str = "") -> Iterator[str]:
    """Where ``value`` has fields that the shape does not: ``spec.nope``, ``spec.limits[0].nope``."""
    if isinstance(node, Atomic):
        if node.inner is not None:
            yield from unknown_fields(Keyed((), node.inner) if is_list(value) else node.inner, value, path)
    elif isinstance(node, Keyed):
        for index, item in enumerate(value if is_list(value) else ()):
            yield from unknown_fields(node.item, item, f"{path}[{index}]")
    elif isinstance(node, Struct) and is_map(value):
        for key, below in value.items():
            where = f"{path}.{key}" if path else key
            if key not in node.fields and not node.open:
                yield where
            else:
                yield from unknown_fields(child(node, key, below), below, where)


def normal(node: Node, value: Any) -> Any:
    """``value`` as it comes back from the server's types: unknown fields, nulls, empty lists and empty maps are gone,
    quantities are in their canonical form. Makes copies throughout. Raises QuantityError."""
    if is_list(value):
        item = node.item if isinstance(node, Keyed) else node.inner if isinstance(node, Atomic) else None
        return [normal(item if item is not None else ANY, each) for each in value]
    if isinstance(node, Amount):
        return quantities.canonical(value)
    if not is_map(value):
        return value
    if isinstance(node, Atomic):
        return normal(node.inner if node.inner is not None else ANY, value)
    closed = isinstance(node, Struct) and not node.open
    kept: dict[str, Any] = {}
    for key, below in value.items():
        if below is None or (closed and isinstance(node, Struct) and key not in node.fields):
            continue
        shape = child(node, key, below)
        made = normal(shape, below)
        if made == [] or (made == {} and isinstance(shape, Map)):
            continue
        kept[key] = made
    return kept


def keys_of(item: Mapping[str, Any], keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(item.get(key) for key in keys)
