"""Carrying out steps: what becomes of a quota's status where the controller was first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from hotconfig.provisioner import carrying
from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.errors import KubernetesConflictError, KubernetesRefusedError
from hotconfig.provisioner.kubernetes.port import KubernetesPort, Manifest
from hotconfig.provisioner.model import Organization, QuotaTexts, State
from hotconfig.provisioner.observation import Answer, Apply, Enforce, FillStatus, Step
from hotconfig.provisioner.template import TenantTemplate
from hotconfig.provisioner.together import AHEAD_S

pytestmark = pytest.mark.anyio


def quota(version: str, hard: str | None = None) -> Manifest:
    metadata = {"name": "hotconfig-quota", "namespace": "org-acme", "resourceVersion": version}
    status = {} if hard is None else {"hard": {"requests.cpu": hard}}
    return {"kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"requests.cpu": "10"}}, "status": status}


@dataclass
class Overtaken:
    """A port on which somebody else's write of the status is always first."""

    reads: list[Manifest]
    asked: list[str] = field(default_factory=list[str])

    async def replace_status(self, manifest: Manifest) -> Manifest:
        self.asked.append(f"PUT {manifest['metadata']['resourceVersion']}")
        raise KubernetesConflictError("the object has been modified")

    async def get(self, kind: str, name: str, *, namespace: str | None) -> Manifest:
        self.asked.append(f"GET {kind} {namespace}/{name}")
        return self.reads.pop(0)


ACME = Organization(
    "acme", uuid4(), "Acme", "ann@acme.example", State.ACTIVE, datetime.now(UTC), QuotaTexts("10", "20Gi", "5Gi")
)


async def carried_out(kube: object, *steps: Step) -> list[tuple[Step, Answer]]:
    hands = Hands(cast("KubernetesPort", kube), None, TenantTemplate())
    learnt: list[tuple[Step, Answer]] = []
    await hands.carry_out(ACME, steps, lambda step, answer: learnt.append((step, answer)))
    return learnt


async def filled(kube: Overtaken) -> Answer:
    ((_, answer),) = await carried_out(kube, FillStatus(quota("1")))
    return answer


READ = "GET ResourceQuota org-acme/hotconfig-quota"


async def test_what_the_controller_wrote_is_read_beside_the_write() -> None:
    kube = Overtaken([quota("2", "10")])
    assert await filled(kube) == quota("2", "10")
    assert sorted(kube.asked) == [READ, "PUT 1"]


async def test_what_was_read_before_the_controller_wrote_is_read_again() -> None:
    kube = Overtaken([quota("1"), quota("2", "10")])
    assert await filled(kube) == quota("2", "10")
    assert sorted(kube.asked) == [READ, READ, "PUT 1"]


# a quota is made and put in force, beside other fences -------------------------------------------------------


@pytest.fixture
def quick_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, calls count as quick."""
    monkeypatch.setattr(carrying, "CONTROLLER_S", 60.0)


def fence(name: str) -> Manifest:
    return {"kind": "LimitRange", "metadata": {"name": name, "namespace": "org-acme"}, "spec": {"limits": []}}


@dataclass
class Made(Overtaken):
    """A port on which what is applied leaves when it is told to, and is answered after ``call_s``."""

    call_s: float = 0.0
    is_overtaken: bool = False
    refused: str = ""
    leaves: bool = True
    tells_sent: bool = True

    async def apply(self, manifest: Manifest, *, on_sent: Callable[[], None] | None = None) -> Manifest:
        name = manifest["metadata"]["name"]
        self.asked.append(f"APPLY {name}")
        await anyio.lowlevel.checkpoint()  # others would come here, if they were let
        self.asked.append(f"SENT {name}")
        if on_sent is not None and self.leaves:
            on_sent()
        await anyio.sleep(self.call_s)
        if name == self.refused:
            raise KubernetesRefusedError("no")
        return manifest

    async def replace_status(self, manifest: Manifest) -> Manifest:
        if self.is_overtaken:
            return await super().replace_status(manifest)
        self.asked.append(f"PUT {manifest['metadata']['resourceVersion']}")
        return quota("2", "10")


ENFORCE = Enforce(quota("1"), "is missing")
OTHERS = (Apply(fence("one")), Apply(fence("two")))


@pytest.mark.usefixtures("quick_calls")
async def test_the_quota_leaves_before_other_fences_are_made_ready_and_they_do_not_wait_for_its_answer() -> None:
    kube = Made([], call_s=0.005)
    learnt = await carried_out(kube, OTHERS[0], ENFORCE, OTHERS[1])
    assert kube.asked[:2] == ["APPLY hotconfig-quota", "SENT hotconfig-quota"]
    assert set(kube.asked[2:4]) == {"APPLY one", "APPLY two"}
    assert (ENFORCE, quota("2", "10")) in learnt
    assert {id(step) for step, _ in learnt} == {id(step) for step in (ENFORCE, *OTHERS)}


@pytest.mark.usefixtures("quick_calls")
async def test_where_the_request_does_not_leave_the_others_wait_for_a_moment_alone() -> None:
    kube = Made([], leaves=False, call_s=4 * AHEAD_S)
    assert len(await carried_out(kube, ENFORCE, *OTHERS)) == 3
    assert kube.asked.index("APPLY one") < kube.asked.index("PUT 1")


@pytest.mark.usefixtures("quick_calls")
async def test_a_port_that_cannot_tell_is_asked_for_all_at_once() -> None:
    class Silent(Made):
        async def apply(self, manifest: Manifest) -> Manifest:  # type: ignore[override]  # as ports are declared
            return await super().apply(manifest)

    kube = Silent([], tells_sent=False, call_s=0.001)
    assert len(await carried_out(kube, ENFORCE, *OTHERS)) == 3
    assert {"APPLY hotconfig-quota", "APPLY one", "APPLY two"} == set(kube.asked[:3])


@pytest.mark.usefixtures("quick_calls")
async def test_a_gate_that_is_shut_does_not_wait_for_the_quota() -> None:
    gate = Apply({"kind": "RoleBinding", "metadata": {"name": "gate", "namespace": "org-acme"}, "subjects": []})
    kube = Made([], leaves=False, call_s=0.001)
    assert len(await carried_out(kube, gate, ENFORCE)) == 2
    assert set(kube.asked[:2]) == {"APPLY gate", "APPLY hotconfig-quota"}


@pytest.mark.usefixtures("quick_calls")
async def test_a_port_that_changes_what_it_is_given_does_not_change_what_is_wanted() -> None:
    class Careless(Made):
        async def apply(self, manifest: Any, *, on_sent: Callable[[], None] | None = None) -> Manifest:
            made = await super().apply(manifest, on_sent=on_sent)
            manifest["spec"].clear()
            return {**made, "spec": {}, "status": {}}

    wanted = (Enforce(quota("1")), Apply(fence("one")))
    await carried_out(Careless([]), *wanted)
    assert [each.manifest for each in wanted] == [quota("1"), fence("one")]


@pytest.mark.usefixtures("quick_calls")
@pytest.mark.parametrize("leaves", [True, False])
async def test_other_fences_are_tried_and_learnt_of_where_the_quota_is_refused(leaves: bool) -> None:
    kube = Made([], refused="hotconfig-quota", leaves=leaves)
    learnt: list[Step] = []
    hands = Hands(cast("KubernetesPort", kube), None, TenantTemplate())
    with pytest.raises(KubernetesRefusedError):
        await hands.carry_out(ACME, (ENFORCE, *OTHERS), lambda step, _answer: learnt.append(step))
    assert {id(step) for step in learnt} == {id(step) for step in OTHERS}


@pytest.mark.usefixtures("quick_calls")
async def test_where_calls_are_quick_the_status_is_written_alone_and_read_if_the_controller_was_first() -> None:
    kube = Made([quota("2", "10")], is_overtaken=True)
    assert await carried_out(kube, ENFORCE) == [(ENFORCE, quota("2", "10"))]
    assert kube.asked[2:] == ["PUT 1", READ]


async def test_where_calls_are_slow_what_the_controller_wrote_is_read_beside_the_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carrying, "CONTROLLER_S", 0.0)
    kube = Made([quota("2", "10")], is_overtaken=True, call_s=0.001)
    assert await carried_out(kube, ENFORCE) == [(ENFORCE, quota("2", "10"))]
    assert sorted(kube.asked[2:]) == [READ, "PUT 1"]
    assert len(kube.reads) == 0
