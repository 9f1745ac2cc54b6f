"""Carrying out steps: what becomes of a quota's status where the controller was first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.errors import KubernetesConflictError
from hotconfig.provisioner.kubernetes.port import KubernetesPort, Manifest
from hotconfig.provisioner.model import Organization, QuotaTexts, State
from hotconfig.provisioner.observation import FillStatus
from hotconfig.provisioner.template import TenantTemplate

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


async def filled(kube: Overtaken) -> Any:
    hands = Hands(cast("KubernetesPort", kube), None, TenantTemplate())
    acme = Organization(
        "acme", uuid4(), "Acme", "ann@acme.example", State.ACTIVE, datetime.now(UTC), QuotaTexts("10", "20Gi", "5Gi")
    )
    (answer,) = await hands.carry_out(acme, [FillStatus(quota("1"))])
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
