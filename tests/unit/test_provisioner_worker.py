"""A round of work that is cancelled in the middle: what was repaired is told, and the lease is let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import anyio
import pytest

from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.errors import LeaseLostError
from hotconfig.provisioner.model import Organization, Progress, QuotaTexts, State
from hotconfig.provisioner.observation import Apply, Look, Step
from hotconfig.provisioner.rows import TenantRows
from hotconfig.provisioner.template import TenantTemplate
from hotconfig.provisioner.worker import Worker
from tests.support.tenant_world import Cluster

pytestmark = pytest.mark.anyio

TEMPLATE = TenantTemplate(probe=False)


@dataclass
class Rows:
    """Keeps what is recorded, or refuses it."""

    refuses: bool
    recorded: list[Progress] = field(default_factory=list[Progress])
    released: int = 0

    async def record(self, organization: Organization, _owner: str, progress: Progress) -> Organization:
        if self.refuses:
            raise LeaseLostError("another goes on")
        self.recorded.append(progress)
        return organization

    async def release(self, _slug: str, _owner: str) -> bool:
        self.released += 1
        return True


@dataclass
class Interrupted:
    """Hands that apply one object, and hang then."""

    cluster: Cluster
    template: TenantTemplate
    hanging: anyio.Event = field(default_factory=anyio.Event)

    async def carry_out(self, _organization: Organization, steps: Sequence[Step], learn: Any) -> None:
        for step in steps:
            learn(step, self.cluster.carry_out(step))
            if isinstance(step, Apply):
                self.hanging.set()
                await anyio.sleep_forever()


@pytest.mark.parametrize("refuses", [False, True])
async def test_what_was_repaired_by_then_is_told_and_the_lease_is_let_go(refuses: bool) -> None:
    uid = uuid4()
    settled = Organization(
        "acme", uid, "Acme", "a@acme.example", State.ACTIVE, datetime.now(UTC), QuotaTexts("10", "20Gi", "5Gi")
    )
    cluster = Cluster()
    cluster.create_namespace("org-acme", {"hotconfig.dev/org-id": str(uid)})
    rows, hands = Rows(refuses), Interrupted(cluster, TEMPLATE)
    worker = Worker(cast("TenantRows", rows), cast("Hands", hands))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.work, settled, worker.new_lease())
        await hands.hanging.wait()
        tasks.cancel_scope.cancel()
    assert isinstance(cluster.carried_out[0], Look)
    if refuses:
        assert (rows.recorded, rows.released) == ([], 1)
    else:
        (told,) = rows.recorded
        assert (told.event, told.release, rows.released) == ("repaired", True, 0)
        assert told.detail["objects"]
