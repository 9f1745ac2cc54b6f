"""What carrying out would do, told without doing it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from hotconfig.provisioner.model import IsolationReceipt, Organization, Planned
from hotconfig.provisioner.observation import (
    Apply,
    Claim,
    Enforce,
    FillStatus,
    Glance,
    Look,
    Observation,
    ProbeIsolation,
    Remove,
    RemoveNamespace,
    Renew,
    Seen,
    Step,
)
from hotconfig.provisioner.steps import decide
from hotconfig.provisioner.template import ORG_ID, TenantTemplate, with_status


def plan(
    organization: Organization, seen: Observation, template: TenantTemplate, *, now: datetime
) -> tuple[Planned, ...]:
    """What carrying out would do, without doing it. ``seen`` is the answer to a :class:`Look`.

    Shows everything at once, where the machine would do one thing after the other.
    """
    lines: list[Planned] = []
    for _ in range(64):
        decision = decide(organization, seen, template, now=now)
        if not decision.steps:
            return tuple(lines)
        for step in decision.steps:
            lines += _planned(step)
            seen = _imagined(seen, step, organization, now)
    return tuple(lines)


def _planned(step: Step) -> Iterator[Planned]:
    match step:
        case Claim(manifest=manifest):
            yield Planned("create", "Namespace", manifest["metadata"]["name"], "is missing")
        case Apply(manifest=manifest, why=why):
            yield Planned("apply", manifest["kind"], manifest["metadata"]["name"], why)
        case Enforce(manifest=manifest, why=why):
            yield from _planned(Apply(manifest, why))
            yield from _planned(FillStatus(manifest))
        case FillStatus(manifest=manifest):
            yield Planned("fill status", manifest["kind"], manifest["metadata"]["name"], "is not in force")
        case Remove(key=key, why=why):
            yield Planned("delete", key.kind, key.name, why)
        case RemoveNamespace(name=name):
            yield Planned("delete", "Namespace", name, "is purged")
        case _:
            return


def _imagined(seen: Observation, step: Step, organization: Organization, now: datetime) -> Observation:
    """What would be seen if ``step`` went well."""
    match step:
        case Look() | Glance() | Renew():
            return seen.after(step, Seen(None))
        case Enforce(manifest=manifest):
            return _imagined(seen, FillStatus(with_status(manifest)), organization, now)
        case Claim(manifest=manifest) | Apply(manifest=manifest) | FillStatus(manifest=manifest):
            uid = manifest["metadata"].get("uid", "planned")
            annotations = {ORG_ID: str(organization.uid)}
            metadata = {"annotations": annotations, **manifest["metadata"], "uid": uid}
            return seen.after(step, {**manifest, "metadata": metadata})
        case RemoveNamespace():
            return replace(seen, looked=True, namespace=None, objects={})
        case ProbeIsolation(namespace_uid=uid):
            return seen.after(step, IsolationReceipt(now, uid, ()))
        case _:
            return seen.after(step, None)
