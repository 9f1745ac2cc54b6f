"""A change of quota: in how few round trips it is in force, and that it is never somebody else's."""

from __future__ import annotations

import pytest

from hotconfig.provisioner import State
from hotconfig.provisioner.model import ConditionKind
from tests.support.provisioners import ACME, LARGER, QUOTA, Site, acme
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
WAIT_S = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def watch_calls(site: Site, *, is_running: bool = False) -> None:
    site.double.pace.is_running = is_running  # False: it is always the provisioner that fills the quota's status
    site.double.faults.latency_s = 0.3
    site.double.log.clear()


@pytest.mark.parametrize("is_running", [False, True], ids=["no controller", "the controller is first"])
async def test_in_force_after_two_round_trips_where_the_tenant_is_known(site: Site, is_running: bool) -> None:
    async with site.provisioner() as provisioner:
        await provisioner.create_organization(acme(), by="ann", wait_s=WAIT_S)
        watch_calls(site, is_running=is_running)
        result = await provisioner.set_quota("acme", LARGER, by="ann", wait_s=WAIT_S)
    assert result.finished
    assert (site.double.log.rounds(), len(site.double.log)) == (2, 4), "namespace and quota, then its status"
    site.double.faults.clear()
    site.assert_open(cpu="20")


async def test_a_program_that_never_saw_the_tenant_takes_one_more_for_a_glance(site: Site) -> None:
    async with site.provisioner() as provisioner:
        await provisioner.create_organization(acme(), by="ann", wait_s=WAIT_S)
    async with site.provisioner() as provisioner:
        watch_calls(site)
        assert (await provisioner.set_quota("acme", LARGER, by="ann", wait_s=WAIT_S)).finished
    looked = [call for call in site.double.log.calls() if call.path != "/version"]
    methods = [call.method for call in looked]
    assert methods[:3] == ["GET", "GET", "PATCH"]
    assert sorted(methods[3:]) == ["GET", "PUT"], "side by side, whichever comes first"
    site.double.faults.clear()
    site.assert_open(cpu="20")


@pytest.mark.parametrize("knows", [True, False])
async def test_a_namespace_that_was_made_anew_by_a_stranger_gets_no_quota(site: Site, knows: bool) -> None:
    async with site.provisioner() as provisioner:
        await provisioner.create_organization(acme(), by="ann", wait_s=WAIT_S)
        made_anew(site)
        if knows:
            result = await provisioner.set_quota("acme", LARGER, by="ann", wait_s=0.5)
    if not knows:
        async with site.provisioner() as other:
            result = await other.set_quota("acme", LARGER, by="ann", wait_s=0.5)
    async with site.provisioner() as looking:
        known = await looking.get("acme")
    assert not result.finished
    assert known.state is State.ACTIVE
    assert [(each.kind, each.reason) for each in known.conditions] == [(ConditionKind.DRIFT, "NamespaceConflict")]
    assert site.double.get(QUOTA) is None
    assert "hotconfig" not in str(site.see(ACME)["metadata"]), "nothing was written to it"


def made_anew(site: Site) -> None:
    """The tenant's namespace goes, and somebody else makes one of the same name."""
    site.double.pace.termination_s = 0.0
    assert site.double.request("DELETE", ACME, user="admin").code == 200
    eventually(lambda: site.double.get(ACME) is None)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "org-acme"}}
    assert site.double.request("POST", "/api/v1/namespaces", body, user="admin").code == 201
