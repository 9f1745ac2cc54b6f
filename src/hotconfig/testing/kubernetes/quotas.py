"""What pods and claims count for, what a quota refuses, and the sizes that a LimitRange gives. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

from hotconfig.testing.kubernetes.quantities import Quantity, parse
from hotconfig.testing.kubernetes.resources import CLAIMS, PODS, Resource
from hotconfig.testing.kubernetes.trees import Json, items, part

Usage = dict[str, Quantity]

COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
COUNTED: Final = frozenset(
    {"pods", "services", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas", "replicationcontrollers"}
)
ZERO: Final = Quantity(Fraction(0))


def usage(resource: Resource, value: Json) -> Usage:
    """What one object counts for, by the names that quotas have for it."""
    found: Usage = {f"count/{resource.qualified}": Quantity(Fraction(1))}
    if resource.plural in COUNTED and not resource.group:
        found[resource.plural] = Quantity(Fraction(1))
    if resource == PODS:
        if part(value, "status").get("phase") in {"Succeeded", "Failed"}:
            return {f"count/{resource.qualified}": Quantity(Fraction(1))}
        found |= _of_pod(value["spec"])
    if resource == CLAIMS:
        storage = part(value["spec"], "resources", "requests").get("storage")
        found |= {"requests.storage": parse(storage)} if storage is not None else {}
    return found


def _of_pod(spec: Json) -> Usage:
    found: Usage = {}
    for kind in ("requests", "limits"):
        for name in COMPUTE:
            sizes = [_sizes(container, kind).get(name) for container in items(spec, "containers")]
            if any(size is not None for size in sizes):
                total = added(parse(size) for size in sizes if size is not None)
                found[f"{kind}.{name}"] = total
                if kind == "requests":
                    found[name] = total
    return found


def _sizes(container: Json, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = part(container, "resources", kind)
    return found


def added(amounts: Iterable[Quantity]) -> Quantity:
    total = ZERO
    for amount in amounts:
        total = Quantity(total.value + amount.value, amount.family if total is ZERO else total.family)
    return total


def used(hard: Mapping[str, str], objects: Iterable[tuple[Resource, Json]]) -> dict[str, str]:
    """``status.used`` for the names in ``hard``."""
    totals: dict[str, list[Quantity]] = {name: [] for name in hard}
    for resource, value in objects:
        for name, amount in usage(resource, value).items():
            if name in totals:
                totals[name].append(amount)
    return {name: str(added(amounts)) for name, amounts in totals.items()}


def refusal(quota: Json, resource: Resource, value: Json) -> str:
    """Why ``quota`` refuses a new object; empty when it does not. What its status does not hold is not enforced."""
    status = part(quota, "status")
    hard: Mapping[str, str] = part(status, "hard")
    name = quota["metadata"]["name"]
    if resource == PODS and (unstated := _unstated(hard, value["spec"])):
        return f"failed quota: {name}: must specify {unstated}"
    now = {key: parse(part(status, "used").get(key, "0")) for key in hard}
    asked = {key: amount for key, amount in usage(resource, value).items() if key in hard}
    over = sorted(key for key, amount in asked.items() if now[key].value + amount.value > parse(hard[key]).value)
    if not over:
        return ""
    return (
        f"exceeded quota: {name}, requested: {_listed(over, asked)}, used: {_listed(over, now)}, "
        f"limited: {_listed(over, {key: parse(hard[key]) for key in over})}"
    )


def _listed(names: Iterable[str], amounts: Mapping[str, Quantity]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in names)


def _unstated(hard: Mapping[str, str], spec: Json) -> str:
    found: list[str] = []
    for name in sorted(hard):
        kind, _, resource = name.rpartition(".")
        if resource in COMPUTE and kind in {"", "requests", "limits"}:
            without = [each["name"] for each in spec["containers"] if resource not in _sizes(each, kind or "requests")]
            if without:
                found.append(f"{name} for: {','.join(sorted(without))}")
    return "; ".join(found)


def charged(quota: Json, resource: Resource, value: Json) -> dict[str, str]:
    """``status.used`` after ``value`` was let in."""
    before: dict[str, str] = part(quota, "status", "used")
    asked = usage(resource, value)
    return before | {key: str(added((parse(before[key]), asked[key]))) for key in before.keys() & asked.keys()}


def limited(pod: Json, ranges: Iterable[Json]) -> Json:
    """``pod`` with the sizes that LimitRanges give containers without any, and the annotation that says so."""
    defaults, requests = _container_defaults(ranges)
    if not defaults and not requests:
        return pod
    notes: list[str] = []
    containers = [_limited(each, defaults, requests, notes) for each in items(pod["spec"], "containers")]
    changed = pod | {"spec": pod["spec"] | {"containers": containers}}
    if notes:
        said = {"kubernetes.io/limit-ranger": f"LimitRanger plugin set: {'; '.join(notes)}"}
        metadata = pod["metadata"]
        changed["metadata"] = metadata | {"annotations": part(metadata, "annotations") | said}
    return changed


def _container_defaults(ranges: Iterable[Json]) -> tuple[dict[str, str], dict[str, str]]:
    defaults: dict[str, str] = {}
    requests: dict[str, str] = {}
    for limit in (limit for each in ranges for limit in each["spec"]["limits"] if limit["type"] == "Container"):
        defaults |= part(limit, "default")
        requests |= part(limit, "defaultRequest")
    return defaults, requests


def _limited(container: Json, defaults: Mapping[str, str], requests: Mapping[str, str], notes: list[str]) -> Json:
    sizes = part(container, "resources")
    found: dict[str, dict[str, str]] = {}
    for kind, word, given in (("requests", "request", requests), ("limits", "limit", defaults)):
        stated = sizes.get(kind, {})
        missing = {name: amount for name, amount in given.items() if name not in stated}
        if missing:
            notes.append(f"{', '.join(sorted(missing))} {word} for container {container['name']}")
        found[kind] = {**stated, **missing}
    return container | {"resources": sizes | {kind: each for kind, each in found.items() if each}}
