"""A small Kubernetes and a small database in memory, for the state machine of tenants. Knows no network and no time.

Not the test double for the client: it answers steps, not requests, and just enough of apply to be wrong where a naive
machine would be: what a manifest does not mention stays, what it mentioned once and does not any more goes.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hotconfig.provisioner.drift import in_force
from hotconfig.provisioner.errors import KubernetesConflictError, KubernetesNotFoundError, NamespaceTerminatingError
from hotconfig.provisioner.model import (
    IsolationReceipt,
    Operation,
    OperationKind,
    OperationState,
    Organization,
    Probe,
    Progress,
    QuotaTexts,
    State,
)
from hotconfig.provisioner.observation import (
    Answer,
    Apply,
    Claim,
    Enforce,
    FillStatus,
    Glance,
    Known,
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
from hotconfig.provisioner.template import DENY_ALL, MANAGER, QUOTA, Key, Manifest, TenantTemplate, key_of, with_status

Object = dict[str, Any]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
UID = UUID("0192f0c1-7c7e-7d3a-9a51-3f0a3b8b2f11")


@dataclass
class Cluster:
    """Namespaces and what is in them. ``controller``: whether the quota controller runs. ``remembers``:
    whether workers know UIDs from the round before.
    """

    controller: bool = True
    remembers: bool = False
    known: Known | None = None
    probe: Callable[[], tuple[Probe, ...]] = lambda: (Probe("privileged", "denied"),)
    namespaces: dict[str, Object] = field(default_factory=dict)
    objects: dict[str, dict[Key, Object]] = field(default_factory=dict)
    carried_out: list[Step] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def carry_out(self, step: Step) -> Answer:  # noqa: C901, PLR0911 - one for each kind of step
        """Do what a step says, and answer as its docstring says."""
        self.carried_out.append(step)
        match step:
            case Look(namespace=name):
                inside = [copy.deepcopy(each) for each in self.objects.get(name, {}).values()]
                return Seen(copy.deepcopy(self.namespaces.get(name)), inside)
            case Glance(namespace=name):
                quota = self.objects.get(name, {}).get(Key("ResourceQuota", QUOTA))
                inside = [] if quota is None else [copy.deepcopy(quota)]
                return Seen(copy.deepcopy(self.namespaces.get(name)), inside)
            case Renew(namespace=namespace, quota=quota):
                return self._renew(namespace, quota)
            case Claim(manifest=manifest):
                return self._claim(manifest)
            case Apply(manifest=manifest):
                return self._apply(manifest)
            case Enforce(manifest=manifest):
                made = self._apply(manifest)
                return made if in_force(made) else self._fill(with_status(made))
            case FillStatus(manifest=manifest):
                return self._fill(manifest)
            case Remove(key=key, namespace=name, uid=uid):
                live = self.objects.get(name, {}).get(key)
                if live is not None:
                    assert live["metadata"]["uid"] == uid
                    del self.objects[name][key]
                return None
            case RemoveNamespace(name=name, uid=uid):
                if (live := self.namespaces.get(name)) is not None:
                    assert live["metadata"]["uid"] == uid
                    live["metadata"]["deletionTimestamp"] = NOW.isoformat()
                return None
            case ProbeIsolation(namespace_uid=uid):
                return IsolationReceipt(NOW, uid, self.probe())

    def create_namespace(self, name: str, annotations: Mapping[str, str] | None = None) -> Object:
        """A namespace, as anybody may make one."""
        metadata = {"name": name, "uid": self._new(), "annotations": dict(annotations or {}), "labels": {}}
        self.namespaces[name] = {"kind": "Namespace", "metadata": metadata}
        self.objects[name] = {}
        return self.namespaces[name]

    def finish_deletions(self) -> None:
        """What is terminating is gone."""
        for name in [n for n, live in self.namespaces.items() if "deletionTimestamp" in live["metadata"]]:
            del self.namespaces[name]
            self.objects.pop(name, None)

    def shown(self) -> object:
        """Everything but what is different each time."""
        kept = copy.deepcopy((self.namespaces, self.objects))
        for live in (*kept[0].values(), *(each for inside in kept[1].values() for each in inside.values())):
            for name in ("uid", "resourceVersion"):
                live["metadata"].pop(name, None)
            live["metadata"].get("annotations", {}).pop("hotconfig.dev/operation-id", None)
        return kept

    def _new(self) -> str:
        return f"uid-{next(self._numbers)}"

    def _claim(self, manifest: Manifest) -> Manifest | None:
        name = manifest["metadata"]["name"]
        if name in self.namespaces:
            return None
        assert set(manifest["metadata"]) == {"name", "annotations"}, "a claim says whose it is and nothing else"
        return copy.deepcopy(self.create_namespace(name, manifest["metadata"]["annotations"]))

    def _renew(self, namespace: Manifest, quota: Manifest) -> Seen | None:
        name = namespace["metadata"]["name"]
        live = self.objects.get(name, {}).get(key_of(quota))
        if live is None or live["metadata"]["uid"] != quota["metadata"]["uid"]:
            return None
        try:
            return Seen(self._apply(namespace), [self._apply(quota)])
        except (KubernetesConflictError, NamespaceTerminatingError):
            return None

    def _apply(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] == "Namespace":
            live = self.namespaces.get(manifest["metadata"]["name"])
            if live is None or live["metadata"]["uid"] != manifest["metadata"]["uid"]:
                raise KubernetesConflictError("wrong uid")
            _merge(live, manifest)
            return copy.deepcopy(live)
        name = manifest["metadata"]["namespace"]
        if name not in self.namespaces:
            raise KubernetesNotFoundError(name)
        if "deletionTimestamp" in self.namespaces[name]["metadata"]:
            raise NamespaceTerminatingError(name)
        if manifest["kind"] == "RoleBinding" and manifest["subjects"]:
            self._require_fences(name)
        inside, key = self.objects[name], key_of(manifest)
        live = inside.setdefault(key, {"kind": manifest["kind"], "metadata": {"uid": self._new()}})
        _merge(live, manifest)
        live["metadata"]["resourceVersion"] = self._new()
        answer = copy.deepcopy(live)
        if self.controller and manifest["kind"] == "ResourceQuota":
            self._count(live)
        return answer

    def _require_fences(self, name: str) -> None:
        """Nobody is let in before the fences stand and the quota is in force."""
        inside = self.objects[name]
        assert in_force(inside[Key("ResourceQuota", QUOTA)])
        policy = inside[Key("NetworkPolicy", DENY_ALL)]["spec"]
        assert not policy.get("ingress")
        assert not policy.get("egress")
        labels = self.namespaces[name]["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"

    def _fill(self, manifest: Manifest) -> Manifest:
        live = self.objects[manifest["metadata"]["namespace"]][key_of(manifest)]
        if live["metadata"]["resourceVersion"] == manifest["metadata"]["resourceVersion"]:
            live["status"] = copy.deepcopy(manifest["status"])
            live["metadata"]["resourceVersion"] = self._new()
        return copy.deepcopy(live)  # otherwise the controller was first, and this is what get returns

    def _count(self, live: Object) -> None:
        hard = dict(live["spec"]["hard"])
        live["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}
        live["metadata"]["resourceVersion"] = self._new()


def _merge(live: Object, manifest: Manifest) -> None:
    """Server-side apply by one manager, with force."""
    before = live["metadata"].pop("applied", {})
    for part, path in (("labels", ("metadata", "labels")), ("annotations", ("metadata", "annotations"))):
        wanted = dict(manifest["metadata"].get(part, {}))
        have = live[path[0]].setdefault(path[1], {})
        for gone in set(before.get(part, ())) - wanted.keys():
            have.pop(gone, None)
        have |= wanted
    for name in ("name", "namespace"):
        if name in manifest["metadata"]:
            live["metadata"][name] = manifest["metadata"][name]
    hard = dict(manifest.get("spec", {}).get("hard", {}))
    for gone in set(before.get("hard", ())) - hard.keys():
        live["spec"]["hard"].pop(gone, None)
    for name in manifest.keys() - {"metadata", "spec"}:
        live[name] = copy.deepcopy(manifest[name])
    for name, value in manifest.get("spec", {}).items():
        spec = live.setdefault("spec", {})
        if name == "hard":
            spec.setdefault("hard", {}).update(value)
        else:
            spec[name] = copy.deepcopy(value)
    labels = manifest["metadata"].get("labels", {})
    live["metadata"]["applied"] = {"labels": set(labels), "annotations": set(), "hard": set(hard)}
    fields: Object = {
        "f:metadata": {"f:labels": {f"f:{label}": {} for label in labels}},
        "f:spec": {"f:hard": {f"f:{key}": {} for key in hard}},
    }
    live["metadata"]["managedFields"] = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}]


@dataclass
class Row:
    """One organization's row, with the rules of the database that the machine relies on."""

    organization: Organization
    now: datetime = NOW

    @classmethod
    def new(cls, slug: str = "acme", quota: QuotaTexts | None = None) -> Row:
        organization = Organization(
            slug,
            UID,
            "Acme",
            "ann@acme.example",
            State.PROVISIONING,
            NOW,
            quota or QuotaTexts("10", "20Gi", "10Gi"),
            namespace=f"org-{slug}",
            generation=1,
            operation=operation(slug, OperationKind.CREATE),
        )
        return cls(organization)

    def ask(self, kind: OperationKind, **changes: Any) -> None:
        """As begin_operation does it."""
        self.organization = replace(
            self.organization,
            generation=self.organization.generation + 1,
            attempts=0,
            operation=operation(self.organization.slug, kind, changes.pop("request", {})),
            **changes,
        )

    def record(self, progress: Progress) -> None:
        """As record_step does it."""
        given: dict[str, Any] = {
            "state": progress.state,
            "namespace_uid": progress.namespace_uid,
            "observed_generation": progress.observed_generation,
            "conditions": progress.conditions,
            "isolation_receipt": progress.receipt,
            "attempts": progress.attempts,
        }
        self.organization = replace(
            self.organization, **{name: value for name, value in given.items() if value is not None}
        )


def operation(slug: str, kind: OperationKind, request: Mapping[str, Any] | None = None) -> Operation:
    return Operation(UID, slug, kind, OperationState.RUNNING, "k", request or {}, 1, "ann", None, NOW)


class Interrupted(Exception):  # noqa: N818 - no error: a process that dies
    """The process dies here."""


class Die:
    """Lets a worker die after so many steps and records, once."""

    def __init__(self, after: int | None) -> None:
        self.left = after

    def here(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Interrupted


def work(row: Row, cluster: Cluster, template: TenantTemplate, die: Die | None = None) -> Progress | None:
    """One round, as the provisioner does it. The last progress comes back. Errors are the caller's."""
    die = die or Die(None)
    seen = Observation(known=cluster.known if cluster.remembers else None)
    for _ in range(200):
        decision = decide(row.organization, seen, template, now=row.now)
        for step in decision.steps:
            answer = cluster.carry_out(step)
            die.here()
            seen = seen.after(step, answer)
            cluster.known = seen.uids() or cluster.known
        if decision.progress is not None:
            row.record(decision.progress)
            die.here()
            if decision.progress.release:
                return decision.progress
        elif not decision.steps:
            return None
    raise AssertionError("a round does not end")


def settle(row: Row, cluster: Cluster, template: TenantTemplate) -> None:
    """Round after round until nothing is left to do, time passing and namespaces going in between."""
    for _ in range(50):
        work(row, cluster, template)
        if row.organization.state in {State.DELETED, State.FAILED}:
            return
        waiting = row.organization.state in {State.OFFBOARDING, State.PURGING}
        if row.organization.settled and not row.organization.conditions and not waiting:
            return
        cluster.finish_deletions()
        if waiting and row.organization.settled and row.organization.state is State.OFFBOARDING:
            return
        row.now += timedelta(seconds=60)
    raise AssertionError(f"does not settle: {row.organization}")
