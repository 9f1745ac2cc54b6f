"""What the server refuses in an object, in its own words. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from hotconfig.testing.kubernetes import quantities
from hotconfig.testing.kubernetes.resources import (
    CLUSTER_ROLE_BINDINGS,
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    QUOTAS,
    RBAC,
    ROLE_BINDINGS,
    Resource,
)
from hotconfig.testing.kubernetes.statuses import Cause, invalid_value, required
from hotconfig.testing.kubernetes.trees import Json, items, part

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_VALUE: Final = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_KEY: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

_NO_LABEL: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_NO_SUBDOMAIN: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_NO_VALUE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_VALUE}')"
)
_NO_KEY: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_KEY}')"
)


def on_creating(resource: Resource, value: Json) -> list[Cause]:
    """Everything wrong with a new object."""
    return [*_name(resource, value), *_labels(value), *_content(resource, value)]


def on_updating(resource: Resource, old: Json, new: Json) -> list[Cause]:
    """Everything wrong with ``new`` in the place of ``old``."""
    found: list[Cause] = []
    for key in ("name", "namespace", "uid", "creationTimestamp"):
        was, wanted = old["metadata"].get(key), new["metadata"].get(key)
        if was != wanted:
            found.append(invalid_value(f"metadata.{key}", _quoted(wanted), "field is immutable"))
    if resource == NAMESPACES:
        found += found  # the server validates a namespace's metadata twice, and says so twice
    found += [*_labels(new), *_content(resource, new), *_immutable(resource, old, new)]
    return found


def _immutable(resource: Resource, old: Json, new: Json) -> Iterator[Cause]:
    if resource in {ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS} and old.get("roleRef") != new.get("roleRef"):
        reference = part(new, "roleRef")
        shown = {"APIGroup": reference.get("apiGroup", ""), "Kind": reference.get("kind", "")}
        shown["Name"] = reference.get("name", "")
        yield invalid_value("roleRef", json.dumps(shown, separators=(",", ":")), "cannot change roleRef")
    if old.get("immutable") is True and any(old.get(key) != new.get(key) for key in ("data", "binaryData")):
        yield Cause("data", "Forbidden: field is immutable when `immutable` is set", "FieldValueForbidden")
    if resource == PODS and _frozen(old) != _frozen(new):
        why = "pod updates may not change fields other than `spec.containers[*].image`"
        yield Cause("spec", f"Forbidden: {why}", "FieldValueForbidden")


def _frozen(pod: Json) -> Json:
    changeable = {"tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds"}
    spec = {key: each for key, each in pod["spec"].items() if key not in changeable}
    return spec | {"containers": [each | {"image": ""} for each in items(spec, "containers")]}


def _quoted(text: object) -> str:
    return json.dumps(text if text is not None else "", ensure_ascii=False)


def _name(resource: Resource, value: Json) -> Iterator[Cause]:
    name = value["metadata"].get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
        return
    for why in _name_problems(resource, name):
        yield invalid_value("metadata.name", _quoted(name), why)


def _name_problems(resource: Resource, name: str) -> Iterator[str]:
    if resource.group == RBAC:
        if name in {".", ".."}:
            yield f"may not be '{name}'"
        yield from (f"may not contain '{sign}'" for sign in "/%" if sign in name)
    elif resource == NAMESPACES or resource.plural == "services":
        if len(name) > 63:
            yield "must be no more than 63 characters"
        if re.fullmatch(_LABEL, name) is None:
            yield "must not contain dots" if re.fullmatch(_SUBDOMAIN, name) else _NO_LABEL
    else:
        if len(name) > 253:
            yield "must be no more than 253 characters"
        if re.fullmatch(_SUBDOMAIN, name) is None:
            yield _NO_SUBDOMAIN


def _labels(value: Json) -> Iterator[Cause]:
    for key, text in part(value["metadata"], "labels").items():
        prefix, slash, name = key.rpartition("/")
        if (slash and re.fullmatch(_SUBDOMAIN, prefix) is None) or re.fullmatch(_KEY, name) is None or len(name) > 63:
            yield invalid_value("metadata.labels", _quoted(key), _NO_KEY)
        if len(text.encode()) > 63:
            yield invalid_value("metadata.labels", _quoted(text), "must be no more than 63 bytes")
        if re.fullmatch(_VALUE, text) is None:
            yield invalid_value("metadata.labels", _quoted(text), _NO_VALUE)


def _content(resource: Resource, value: Json) -> Iterator[Cause]:
    spec = part(value, "spec")
    if resource == QUOTAS:
        for path in (("spec", "hard"), ("status", "hard"), ("status", "used")):
            yield from _amounts(".".join(path), part(value, *path))
    elif resource == LIMIT_RANGES:
        for index, limit in enumerate(items(spec, "limits")):
            yield from _limit(f"spec.limits[{index}]", limit)
    elif resource == NETWORK_POLICIES:
        odd = [each for each in enumerate(items(spec, "policyTypes")) if each[1] not in {"Ingress", "Egress"}]
        yield from (_unsupported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress")) for index, kind in odd)
    elif resource in {ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS}:
        yield from _binding(resource, value)
    elif resource == PODS and not spec.get("containers"):
        yield required("spec.containers", "")


def _amounts(path: str, amounts: dict[str, str]) -> Iterator[Cause]:
    for name, amount in sorted(amounts.items()):
        if quantities.parse(amount).value < 0:
            yield invalid_value(f"{path}[{name}]", _quoted(amount), "must be greater than or equal to 0")


def _limit(path: str, limit: Json) -> Iterator[Cause]:
    for name, amount in sorted(part(limit, "defaultRequest").items()):
        most = part(limit, "default").get(name)
        if most is not None and quantities.parse(amount).value > quantities.parse(most).value:
            why = f"default request value {amount} is greater than default limit value {most}"
            yield invalid_value(f"{path}.defaultRequest[{name}]", _quoted(amount), why)


def _binding(resource: Resource, value: Json) -> Iterator[Cause]:
    reference = part(value, "roleRef")
    kinds = ("ClusterRole", "Role") if resource == ROLE_BINDINGS else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        yield _unsupported("roleRef.kind", reference.get("kind", ""), kinds)
    if not reference.get("name"):
        yield required("roleRef.name", "")
    for index, subject in enumerate(items(value, "subjects")):
        if not subject.get("name"):
            yield required(f"subjects[{index}].name", "")
        if subject.get("kind") not in {"Group", "ServiceAccount", "User"}:
            yield _unsupported(f"subjects[{index}].kind", subject.get("kind", ""), ("Group", "ServiceAccount", "User"))


def _unsupported(field: str, value: str, known: tuple[str, ...]) -> Cause:
    listed = ", ".join(_quoted(each) for each in known)
    return Cause(field, f"Unsupported value: {_quoted(value)}: supported values: {listed}", "FieldValueNotSupported")
