"""Kubernetes is slow, throttles, loses its controllers or gets a rival while tenants are made and removed."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from hotconfig.provisioner import Bounds, CreateOrganization, Provisioner, Result, State
from hotconfig.provisioner.errors import NamespaceConflictError
from hotconfig.provisioner.model import ConditionKind
from hotconfig.testing.kubernetes import Call
from tests.support.databases import Databases
from tests.support.provisioners import ACME, BINDING, LARGER, UNPROBED, Site, acme, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

WAIT_S = 60.0


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provisioner(site: Site) -> AsyncGenerator[Provisioner]:
    async with site.provisioner() as made:
        yield made


async def create(provisioner: Provisioner, slug: str = "acme") -> Result:
    return await provisioner.create_organization(CreateOrganization(slug, "T", "t@t.example"), by="ann", wait_s=WAIT_S)


async def test_who_is_told_to_wait_waits_that_long(site: Site, provisioner: Provisioner) -> None:
    site.double.log.clear()
    site.double.faults.refuse(429, retry_after_s=2, path="/limitranges/")
    assert (await create(provisioner)).organization.state is State.ACTIVE
    refused, granted = site.double.log.calls(path="/limitranges/", method="PATCH")
    assert (refused.code, granted.code) == (429, 201)
    later = [call for call in site.double.log.calls(user="provisioner") if call.began > refused.ended + 1.0]
    between = [call for call in site.double.log.calls() if refused.ended + 0.5 < call.began < refused.ended + 1.9]
    assert granted in later
    assert between == [], "nothing of this tenant is asked for before"


async def test_a_slow_server_costs_nobody_his_lease(site: Site) -> None:
    """Each round trip takes most of a lease; another provisioner would take over if it ran out."""
    site.double.faults.latency_s = 1.0
    slow = Provisioner(
        site.database_url, site.kubeconfig, template=UNPROBED, bounds=Bounds(lease_s=6.0), schema="hotconfig"
    )
    async with slow as one, site.provisioner() as other:
        site.double.log.clear()
        made: list[Result] = []

        async def make() -> None:
            made.append(await create(one))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make)
            while not made:
                await other.reconcile_once()
                await anyio.sleep(0.1)
        assert made[0].organization.state is State.ACTIVE
        assert len(site.double.log.calls(method="POST", path="/namespaces$")) == 1
        assert len(site.double.log.calls(path=BINDING, method="PATCH")) == 1
    site.assert_open()


async def test_two_provisioners_that_are_asked_for_the_same_make_it_once(site: Site) -> None:
    async with site.provisioner() as one, site.provisioner() as other:
        site.double.faults.latency_s = 0.05
        made: list[Result] = []

        async def ask(provisioner: Provisioner) -> None:
            made.append(await provisioner.create_organization(acme(), by="ann", idempotency_key="k", wait_s=WAIT_S))

        async with anyio.create_task_group() as tasks:
            for each in (one, other, one, other):
                tasks.start_soon(ask, each)
                tasks.start_soon(each.reconcile_once)
        assert {result.organization.state for result in made} == {State.ACTIVE}
        assert [result.made for result in made].count(True) == 1
        assert len(site.double.log.calls(method="POST", path="/namespaces$")) == 1
    site.assert_open()


async def test_of_two_databases_one_gets_the_name(
    site: Site, databases: Databases, provisioner: Provisioner, tmp_path: Path
) -> None:
    """Nothing in PostgreSQL can decide it, so the POST does."""
    with databases.migrated() as url:
        async with Provisioner(url, site.kubeconfig, template=UNPROBED) as rival:
            won: list[Result] = []
            lost: list[NamespaceConflictError] = []

            async def ask(each: Provisioner) -> None:
                try:
                    won.append(await create(each))
                except NamespaceConflictError as error:
                    lost.append(error)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, provisioner)
                tasks.start_soon(ask, rival)
            assert (len(won), len(lost)) == (1, 1)
            uid = won[0].organization.uid
            states = {each.uid: each.state for both in (provisioner, rival) for each in await both.list()}
            assert states.pop(uid) is State.ACTIVE
            assert list(states.values()) == [State.FAILED]
            assert site.see(ACME)["metadata"]["annotations"]["hotconfig.dev/org-id"] == str(uid)
            site.assert_open()


@pytest.mark.parametrize("number", range(1, 10))
async def test_a_namespace_that_is_deleted_meanwhile_is_made_anew(
    site: Site, provisioner: Provisioner, number: int
) -> None:
    """By somebody, at any of the calls with which it is made."""
    lock, left = threading.Lock(), [number]

    def delete(call: Call) -> None:
        with lock:
            left[0] -= 1
            if left[0] == 0:
                assert site.double.request("DELETE", ACME).code in {200, 404}

    site.double.log.clear()
    site.double.log.on_call = delete
    await create(provisioner)
    site.double.log.on_call = None

    async def back() -> bool:
        await provisioner.reconcile_once()
        found = await provisioner.get("acme")
        there = site.double.get(BINDING) is not None and "deletionTimestamp" not in site.see(ACME)["metadata"]
        return there and found.conditions == () and found.state is State.ACTIVE

    await until(back)
    site.assert_open()
    assert (await provisioner.get("acme")).namespace_uid == site.see(ACME)["metadata"]["uid"]


async def test_without_a_controller_manager_a_namespace_that_should_go_is_waited_for(
    site: Site, provisioner: Provisioner
) -> None:
    await create(provisioner)
    await provisioner.offboard("acme", by="ann", wait_s=WAIT_S)
    site.double.pace.is_running = False
    result = await provisioner.purge("acme", by="ann", wait_s=1.0)
    assert (result.finished, result.organization.state) == (False, State.PURGING)
    found = await provisioner.get("acme")
    assert [each.kind for each in found.conditions] == [ConditionKind.NAME_BUSY]
    assert len(site.double.log.calls(method="DELETE")) == 1, "it was told once"
    site.double.pace.is_running = True

    async def gone() -> bool:
        await provisioner.reconcile_once()
        return (await provisioner.get("acme")).state is State.DELETED

    await until(gone)
    assert site.double.get(ACME) is None


@pytest.mark.parametrize("fault", ["429", "500", "reset", "reset after", "down"])
async def test_whatever_is_asked_for_while_kubernetes_is_unwell_is_carried_out(
    site: Site, provisioner: Provisioner, fault: str
) -> None:
    """Each later operation meets the fault at its first write."""
    await create(provisioner)
    wishes: dict[str, Callable[[], Awaitable[Result]]] = {
        "set_quota": lambda: provisioner.set_quota("acme", LARGER, by="ann", wait_s=WAIT_S),
        "suspend": lambda: provisioner.suspend("acme", by="ann", wait_s=WAIT_S),
        "resume": lambda: provisioner.resume("acme", by="ann", wait_s=WAIT_S),
        "offboard": lambda: provisioner.offboard("acme", by="ann", wait_s=WAIT_S),
        "restore": lambda: provisioner.restore("acme", by="ann", wait_s=WAIT_S),
    }
    faults = site.double.faults
    for wish in wishes.values():
        match fault:
            case "429":
                faults.refuse(429, method="PATCH")
            case "500":
                faults.refuse(500, method="PATCH")
            case "down":
                site.double.stop()
                threading.Timer(0.3, site.double.start).start()
            case _:
                faults.reset(after=fault == "reset after", method="PATCH")
        result = await wish()
        assert result.finished
        assert result.organization.conditions == ()
        faults.clear()
    site.assert_open(cpu="20")


async def test_a_purge_whose_answer_is_lost_is_found_out(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    await provisioner.offboard("acme", by="ann", wait_s=WAIT_S)
    site.double.faults.reset(after=True, method="DELETE")
    result = await provisioner.purge("acme", by="ann", wait_s=WAIT_S)
    assert result.organization.state is State.DELETED
    assert site.double.get(ACME) is None
