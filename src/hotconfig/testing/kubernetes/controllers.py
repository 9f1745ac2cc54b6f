"""The controller manager, as far as tenants see it: default service accounts, quota status, the end of namespaces.

``Controllers.due`` says what is to be done and when, ``perform`` does it, through the API. Who owns the clock
(the server) calls both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hotconfig.testing.kubernetes import quotas
from hotconfig.testing.kubernetes.api import Api
from hotconfig.testing.kubernetes.rbac import User
from hotconfig.testing.kubernetes.resources import CONFIG_MAPS, NAMESPACES, QUOTAS, SERVICE_ACCOUNTS, Resource, Target
from hotconfig.testing.kubernetes.trees import Json, part
from hotconfig.testing.kubernetes.writing import Write

MANAGER: Final = "kube-controller-manager"
USER: Final = User(f"system:{MANAGER}", ("system:masters", "system:authenticated"))


@dataclass(slots=True)
class Pace:
    """How long the controllers take, in seconds, and whether they run. Change it at any time."""

    service_account_s: float = 0.002
    quota_s: float = 0.01
    """After a change of a quota, until its status holds it. A real one takes 4 to 43 ms, and over 20 s at its start."""
    termination_s: float = 0.05
    """From the delete of a namespace until it is gone with all it holds."""
    is_running: bool = True
    """False: no controller manager. Quotas are never filled, namespaces never end, no service account appears."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to be done for one object."""

    what: str
    namespace: str
    name: str = ""


class Controllers:
    """Brings objects to where they should be, some time after they should."""

    def __init__(self, api: Api, pace: Pace) -> None:
        self.pace = pace
        self._api = api
        self._seen = 0
        self._is_behind = False

    def catch_up(self) -> None:
        """Let the next ``due`` look at everything: what was scheduled before may be lost."""
        self._is_behind = True

    def due(self) -> list[tuple[float, Job]]:
        """What there is to do since the last call, each with its delay. Everything, after it was not running."""
        with self._api.lock:
            store = self._api.store
            if not self.pace.is_running:
                self._is_behind = True
                return []
            events = None if self._is_behind else store.since(self._seen)
            self._seen, self._is_behind = store.version, False
            if events is None:
                found = [(each, value) for each in (NAMESPACES, QUOTAS) for _, value in store.all(each)]
                jobs = {job for resource, value in found for job in self._jobs(resource, value)}
            else:
                jobs = {job for event in events for job in self._jobs(event.resource, event.value, event.kind)}
        return sorted(((self._delay_s(job), job) for job in jobs), key=lambda item: item[0])

    def _delay_s(self, job: Job) -> float:
        pace = self.pace
        return {"account": pace.service_account_s, "quota": pace.quota_s, "end": pace.termination_s}[job.what]

    def _jobs(self, resource: Resource, value: Json, kind: str = "") -> list[Job]:
        name = value["metadata"]["name"]
        if resource == NAMESPACES:
            is_ending = "deletionTimestamp" in value["metadata"]
            return [] if kind == "DELETED" else [Job("end" if is_ending else "account", name)]
        namespace = value["metadata"].get("namespace", "")
        if resource == QUOTAS and kind != "DELETED":
            return [Job("quota", namespace, name)]
        if kind == "DELETED" and namespace:
            return [Job("quota", namespace, quota["metadata"]["name"]) for quota in self._quotas(namespace)]
        return []

    def _quotas(self, namespace: str) -> list[Json]:
        return self._api.store.within(QUOTAS, namespace)

    def perform(self, job: Job) -> None:
        """Do one job, if it is still to be done."""
        if not self.pace.is_running:
            self._is_behind = True
            return
        with self._api.lock:
            before = self._api.store.version
            {"account": self._account, "quota": self._quota, "end": self._end}[job.what](job)
            if self._api.store.version != before:
                for call in self._api.on_written:
                    call()

    def _account(self, job: Job) -> None:
        namespace = self._api.store.get(NAMESPACES, "", job.namespace)
        if namespace is None or "deletionTimestamp" in namespace["metadata"]:
            return
        for resource, name in ((SERVICE_ACCOUNTS, "default"), (CONFIG_MAPS, "kube-root-ca.crt")):
            target = Target(resource, job.namespace)
            if self._api.store.get(resource, job.namespace, name) is None:
                value: Json = {"metadata": {"name": name}}
                if resource == CONFIG_MAPS:
                    value["data"] = {"ca.crt": "the double's own"}
                self._api.writer.create(Write(target, USER, MANAGER), value)

    def _quota(self, job: Job) -> None:
        store = self._api.store
        quota = store.get(QUOTAS, job.namespace, job.name)
        if quota is None:
            return
        hard: dict[str, str] = part(quota["spec"], "hard")
        objects = [(each, value) for each in store.resources() for value in store.within(each, job.namespace)]
        status = {"hard": dict(hard), "used": quotas.used(hard, objects)} if hard else {}
        target = Target(QUOTAS, job.namespace, job.name, "status")
        self._api.writer.update(Write(target, USER, MANAGER), quota, quota | {"status": status})

    def _end(self, job: Job) -> None:
        store = self._api.store
        namespace = store.get(NAMESPACES, "", job.namespace)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return
        for resource in store.resources():
            for value in store.within(resource, job.namespace) if resource.namespaced else ():
                store.remove(resource, value)
        store.remove(NAMESPACES, namespace)
