"""How many requests it takes, counted by the double: to change one tenant, and to reconcile many."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

from hotconfig.provisioner import CreateOrganization, Provisioner
from hotconfig.testing.kubernetes import KubernetesDouble
from tests.support.provisioners import LARGER, NETWORK, Site, acme

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

TENANTS = 60
RECONCILE_BOUND = 10


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provisioner(site: Site) -> AsyncGenerator[Provisioner]:
    async with site.provisioner() as made:
        yield made


@pytest.fixture
def site(migrated_url: str, tmp_path: Path) -> Generator[Site]:
    with KubernetesDouble(tls=False) as double:
        double.pace.is_running = False  # so that it is always the provisioner that fills the quota's status
        yield Site(migrated_url, double, tmp_path)


async def test_a_changed_quota_takes_three_round_trips_in_sequence(site: Site, provisioner: Provisioner) -> None:
    await provisioner.create_organization(acme(), by="ann", wait_s=60)
    site.double.faults.latency_s = 0.3
    site.double.log.clear()
    result = await provisioner.set_quota("acme", LARGER, by="ann", wait_s=60)
    assert result.finished
    assert site.double.log.rounds() <= 3, "what is there, the quota, its status"


async def test_a_reconcile_asks_by_kind_and_not_by_tenant(
    site: Site, provisioner: Provisioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pages that are to these tenants as the real ones are to 1,000."""
    await _create(provisioner, TENANTS)
    monkeypatch.setattr("hotconfig.provisioner.kubernetes.client.PAGE", TENANTS)
    site.double.log.clear()
    assert (await provisioner.reconcile_once()).worked == ()
    calls = site.double.log.calls()
    assert {call.method for call in calls} == {"GET"}
    assert len(calls) <= RECONCILE_BOUND
    assert len({call.path for call in calls}) == 6


async def test_beside_that_a_reconcile_asks_about_what_it_repairs_alone(site: Site, provisioner: Provisioner) -> None:
    await _create(provisioner, 12)
    for slug in ("t3", "t7"):
        opened: dict[str, Any] = {"spec": {"ingress": [{}]}}
        path = f"{NETWORK}/hotconfig-deny-all".replace("org-acme", f"org-{slug}")
        assert site.double.request("PATCH", path, opened, content_type="application/merge-patch+json").code == 200
    site.double.log.clear()
    assert (await provisioner.reconcile_once()).drifted == ("t3", "t7")
    lists = [call for call in site.double.log.calls() if not re.search(r"/namespaces/[^/]+", call.path)]
    others = [call for call in site.double.log.calls() if call not in lists]
    assert len(lists) == 6
    assert {re.search(r"/namespaces/([^/]+)", call.path)[1] for call in others} == {"org-t3", "org-t7"}  # type: ignore[index]
    written = [call for call in others if call.method != "GET"]
    assert [call.path.rpartition("/")[2] for call in written] == ["hotconfig-deny-all"] * 2


async def _create(provisioner: Provisioner, count: int) -> None:
    slugs = iter([f"t{number}" for number in range(count)])

    async def some() -> None:
        for slug in slugs:
            await provisioner.create_organization(CreateOrganization(slug, "T", "t@t.example"), by="ann", wait_s=60)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(some)
