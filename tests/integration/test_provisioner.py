"""The provisioner on PostgreSQL and the Kubernetes double: what becomes of requests, and in how many round trips."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.provisioner import (
    Adoption,
    CreateOrganization,
    Provisioner,
    Quota,
    Reconciled,
    Result,
    State,
    SyncProvisioner,
    TenantTemplate,
)
from hotconfig.provisioner.errors import (
    IdempotencyKeyError,
    KubernetesDeniedError,
    KubernetesTrustError,
    KubernetesUnavailableError,
    NamespaceConflictError,
    NameTakenError,
    TemplateError,
    UnknownOrganizationError,
    WrongStateError,
)
from hotconfig.provisioner.kubernetes.client import KubernetesClient
from hotconfig.provisioner.model import ConditionKind, Lease, OperationState
from hotconfig.testing.kubernetes import PROVISIONER_RULES, KubernetesDouble, Rule
from tests.support.provisioners import ACME, BINDING, LARGER, NETWORK, QUOTA, Site, acme, key, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

WAIT_S = 30.0


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One is enough for most; that both work is a test of its own."""
    return "asyncio"


@pytest.fixture
async def provisioner(site: Site) -> AsyncGenerator[Provisioner]:
    async with site.provisioner() as made:
        yield made


async def create(provisioner: Provisioner, wanted: CreateOrganization | None = None, **asking: Any) -> Result:
    return await provisioner.create_organization(wanted or acme(), by="ann", wait_s=WAIT_S, **asking)


# creating


async def test_a_tenant_is_active_when_the_call_returns(site: Site, provisioner: Provisioner) -> None:
    result = await create(provisioner)
    assert (result.finished, result.made, result.operation.state) == (True, True, OperationState.DONE)
    assert result.organization.state is State.ACTIVE
    assert result.organization.conditions == ()
    assert result.organization.lease_owner is None
    site.assert_open()
    assert await provisioner.get("acme") == result.organization


async def test_the_claim_comes_first_and_the_gate_last(site: Site, provisioner: Provisioner) -> None:
    site.double.log.clear()
    await create(provisioner)
    calls = site.double.log.calls(user="provisioner")
    assert [(calls[0].method, calls[0].path)] == [("POST", "/api/v1/namespaces")]
    assert calls[-1].path == BINDING
    assert [call.path for call in calls].count(f"{QUOTA}/status") == 1, "in force before somebody is let in"
    assert site.double.log.calls(method="DELETE") == []


@pytest.mark.parametrize("is_running", [False, True], ids=["no controller", "the controller is first"])
async def test_a_tenant_takes_four_round_trips_in_sequence(
    site: Site, provisioner: Provisioner, is_running: bool
) -> None:
    site.double.pace.is_running = is_running
    site.double.faults.latency_s = 0.3  # some 30 times what the controller takes to fill the quota's status
    site.double.log.clear()
    await create(provisioner)
    assert site.double.log.rounds() == 4, "claim, fences, the quota in force, the gate"
    assert len(site.double.log) == 10


async def test_without_a_controller_manager_the_quota_is_in_force_all_the_same(
    site: Site, provisioner: Provisioner
) -> None:
    site.double.pace.is_running = False
    await create(provisioner)
    site.assert_open()


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_has_it_too(site: Site) -> None:
    async with site.provisioner() as provisioner:
        assert (await create(provisioner)).organization.state is State.ACTIVE


async def test_who_does_not_wait_leaves_it_to_a_reconciler(site: Site, provisioner: Provisioner) -> None:
    result = await provisioner.create_organization(acme(), by="ann", wait_s=0)
    assert (result.finished, result.organization.state) == (False, State.REQUESTED)
    assert site.double.get(ACME) is None
    found = await provisioner.reconcile_once()
    assert found.worked == ("acme",)
    operation = await provisioner.operation(result.operation.id)
    assert operation is not None
    assert operation.finished
    site.assert_open()


async def test_one_idempotency_key_is_one_operation(provisioner: Provisioner) -> None:
    first, again = [await create(provisioner, idempotency_key="k") for _ in range(2)]
    assert (first.made, again.made) == (True, False)
    assert first.operation.id == again.operation.id
    with pytest.raises(IdempotencyKeyError):
        await create(provisioner, acme(quota=LARGER), idempotency_key="k")
    with pytest.raises(NameTakenError):
        await create(provisioner)


async def test_of_eight_requests_for_one_name_one_is_served(site: Site, provisioner: Provisioner) -> None:
    taken: list[NameTakenError] = []
    made: list[Result] = []

    async def ask() -> None:
        try:
            made.append(await create(provisioner))
        except NameTakenError as error:
            taken.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    assert (len(made), len(taken)) == (1, 7)
    assert len(site.double.log.calls(method="POST", path="/namespaces$")) == 1
    site.assert_open()


async def test_eight_requests_with_one_key_are_the_same_operation(site: Site, provisioner: Provisioner) -> None:
    made: list[Result] = []

    async def ask() -> None:
        made.append(await create(provisioner, idempotency_key="k"))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    assert len({result.operation.id for result in made}) == 1
    assert [result.made for result in made].count(True) == 1
    assert all(result.finished for result in made)
    site.assert_open()


# what is in the way


async def test_a_strangers_namespace_is_not_touched(site: Site, provisioner: Provisioner) -> None:
    site.double.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "org-acme"}})
    before = site.see(ACME)
    with pytest.raises(NamespaceConflictError, match="org-acme belongs to somebody else"):
        await create(provisioner)
    assert site.see(ACME) == before
    assert (await provisioner.get("acme")).state is State.FAILED
    with pytest.raises(NamespaceConflictError):
        await provisioner.adopt("acme", policy=Adoption.NEVER, by="ann", wait_s=WAIT_S)
    adopted = await provisioner.adopt("acme", policy=Adoption.ALWAYS, by="ann", wait_s=WAIT_S)
    assert adopted.organization.state is State.ACTIVE
    site.assert_open()


async def test_a_namespace_that_is_going_is_waited_for(site: Site, provisioner: Provisioner) -> None:
    site.double.pace.termination_s = 0.5
    site.double.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "org-acme"}})
    old = site.see(ACME)["metadata"]["uid"]
    assert site.double.request("DELETE", ACME).code == 200
    result = await create(provisioner)
    assert result.organization.state is State.ACTIVE
    assert site.see(ACME)["metadata"]["uid"] != old


async def test_kubernetes_down_leaves_an_operation_to_follow(site: Site, provisioner: Provisioner) -> None:
    site.double.stop()
    result = await provisioner.create_organization(acme(), by="ann", wait_s=0.3)
    assert (result.finished, result.organization.state) == (False, State.PROVISIONING)
    seen = await provisioner.get("acme")
    assert [each.kind for each in seen.conditions] == [ConditionKind.KUBERNETES_UNAVAILABLE]
    assert seen.lease_owner is None
    found = await provisioner.reconcile_once()
    assert found.unavailable == ""  # nothing is settled, so nothing was looked for
    site.double.start()

    async def done() -> bool:
        await provisioner.reconcile_once()
        operation = await provisioner.operation(result.operation.id)
        return operation is not None and operation.finished

    await until(done)
    site.assert_open()


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_server_that_is_not_well_is_asked_again(site: Site, provisioner: Provisioner, code: int) -> None:
    site.double.faults.refuse(code, path="/networkpolicies/")
    assert (await create(provisioner)).organization.state is State.ACTIVE
    site.assert_open()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("path", ["/namespaces$", "/resourcequotas/hotconfig-quota$", "/status$", "/rolebindings/"])
async def test_an_answer_that_is_lost_is_looked_for(
    site: Site, provisioner: Provisioner, path: str, after: bool
) -> None:
    site.double.pace.is_running = False
    site.double.faults.reset(after=after, path=path)
    assert (await create(provisioner)).organization.state is State.ACTIVE
    site.assert_open()


async def test_a_missing_permission_is_told_and_not_retried(migrated_url: str, tmp_path: Path) -> None:
    with KubernetesDouble(provisioner_rules=None) as double:
        site = Site(migrated_url, double, tmp_path)
        async with site.provisioner() as provisioner:
            with pytest.raises(KubernetesDeniedError, match="grant the verb 'create' on 'namespaces'"):
                await create(provisioner)
            assert (await provisioner.get("acme")).state is State.FAILED


# changing


async def test_a_changed_quota_is_in_force_when_the_call_returns(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    site.double.pace.is_running = False
    result = await provisioner.set_quota("acme", LARGER, by="ann", wait_s=WAIT_S)
    assert result.finished
    assert result.overused == {}
    site.assert_open(cpu="20")


async def test_a_quota_changed_by_hand_is_carried_out(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    with psycopg.connect(site.database_url) as connection:
        connection.execute(
            "UPDATE hotconfig.service_configs SET value = '30' WHERE key = 'quota_cpu' AND organization_id = 'acme'"
        )
    assert (await provisioner.reconcile_once()).worked == ("acme",)
    site.assert_open(cpu="30")


async def test_a_quota_below_what_is_used_is_told_with_the_figures(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    sizes = {"cpu": "4", "memory": "1Gi"}
    container = {
        "name": "c",
        "image": "x",
        "resources": {"requests": sizes, "limits": sizes},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [container]}}
    assert site.double.request("POST", f"{ACME}/pods", pod).code == 201

    async def counted() -> bool:
        return bool(site.see(QUOTA)["status"]["used"]["requests.cpu"] == "4")

    await until(counted)
    result = await provisioner.set_quota("acme", Quota("1", "2Gi", "1Gi"), by="ann", wait_s=WAIT_S)
    assert result.finished
    assert result.overused["requests.cpu"] == ("4", "1")
    assert "requests.memory" not in result.overused


async def test_suspended_and_resumed(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    suspended = await provisioner.suspend("acme", by="ann", wait_s=WAIT_S)
    assert (suspended.finished, suspended.organization.state) == (True, State.SUSPENDED)
    site.assert_cordoned()
    with pytest.raises(WrongStateError):
        await provisioner.suspend("acme", by="ann", wait_s=WAIT_S)
    resumed = await provisioner.resume("acme", by="ann", wait_s=WAIT_S)
    assert resumed.organization.state is State.ACTIVE
    site.assert_open()


async def test_offboarded_restored_offboarded_and_purged(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    offboarded = await provisioner.offboard("acme", retention_s=3600, by="ann", wait_s=WAIT_S)
    assert (offboarded.finished, offboarded.organization.state) == (True, State.OFFBOARDING)
    site.assert_isolated()
    restored = await provisioner.restore("acme", by="ann", wait_s=WAIT_S)
    assert restored.organization.state is State.ACTIVE
    site.assert_open()
    await provisioner.offboard("acme", by="ann", wait_s=WAIT_S)
    purged = await provisioner.purge("acme", by="ann", reason="contract over", wait_s=WAIT_S)
    assert purged.organization.state is State.DELETED
    assert site.double.get(ACME) is None
    (deleted,) = site.double.log.calls(method="DELETE")
    assert (deleted.user, deleted.path) == ("purger", ACME)
    events = [past.event for past in reversed(await provisioner.history("acme"))]
    asked = [event for event in events if event in {"offboard", "restore", "purge"}]
    assert asked == ["offboard", "restore", "offboard", "purge"]
    assert (events[-1], events.count("deleted")) == ("deleted", 1)


async def test_retention_over_the_reconciler_purges_and_the_brake_bounds_it(site: Site) -> None:
    async with site.provisioner() as provisioner:
        for number in range(7):
            slug = f"t{number}"
            await create(provisioner, CreateOrganization(slug, "T", "t@t.example"))
            await provisioner.offboard(slug, retention_s=0, by="ann", wait_s=0)
        await provisioner.reconcile_once()  # isolates
        found = await provisioner.reconcile_once()
        assert (len(found.deleted), len(found.held), found.brake) == (5, 2, "limit")


async def test_an_empty_database_deletes_nothing(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    await provisioner.reconcile_once()
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM hotconfig.organizations")
    found = await provisioner.reconcile_once()
    assert (found.rows, found.worked, found.brake) == (0, (), "empty read")
    assert site.double.log.calls(method="DELETE") == []
    site.assert_open()


# drift


OPENED: dict[str, Any] = {"spec": {"ingress": [{}]}}


async def test_drift_is_found_by_six_lists_and_repaired(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    await create(provisioner, CreateOrganization("beta", "Beta", "b@b.example"))
    site.double.log.clear()
    assert (await provisioner.reconcile_once()).worked == ()
    assert [call.method for call in site.double.log.calls()] == ["GET"] * 6
    merge = "application/merge-patch+json"
    assert site.double.request("PATCH", f"{NETWORK}/hotconfig-deny-all", OPENED, content_type=merge).code == 200
    assert site.double.request("DELETE", f"{ACME}/limitranges/hotconfig-limits").code == 200
    found = await provisioner.reconcile_once()
    assert (found.worked, found.drifted) == (("acme",), ("acme",))
    site.assert_open()
    (repaired,) = [past for past in await provisioner.history("acme") if past.event == "repaired"]
    assert any("hotconfig-deny-all" in line for line in repaired.detail["objects"])
    assert (await provisioner.reconcile_once()).worked == ()


async def test_a_lease_that_a_dead_worker_left_is_let_go_and_the_history_says_so(
    site: Site, provisioner: Provisioner
) -> None:
    await create(provisioner)
    rows = PostgresTenants(site.database_url, schema="hotconfig")
    try:
        assert await rows.lease(Lease("dead", 0.2), slug="acme")
        assert (await provisioner.reconcile_once()).worked == (), "it may still live"
        await anyio.sleep(0.25)
        found = await provisioner.reconcile_once()
    finally:
        await rows.close()
    assert (found.worked, found.drifted) == (("acme",), ())
    assert (await provisioner.get("acme")).lease_owner is None
    assert (await provisioner.history("acme"))[0].event == "resumed"
    assert (await provisioner.reconcile_once()).worked == ()


async def test_a_template_that_fails_for_one_tenant_leaves_the_others_to_be_looked_after(site: Site) -> None:
    plans: dict[str, tuple[Any, ...]] = {"acme": (), "beta": ()}
    template = TenantTemplate(probe=False, extra=lambda organization: plans[organization.slug])
    async with Provisioner(site.database_url, site.kubeconfig, template=template) as provisioner:
        await create(provisioner)
        await create(provisioner, CreateOrganization("beta", "Beta", "b@b.example"))
        for slug in ("acme", "beta"):
            await provisioner.set_quota(slug, LARGER, by="ann", wait_s=0)
        del plans["acme"]
        assert (await provisioner.reconcile_once()).worked == ("acme", "beta")
        assert (await provisioner.get("beta")).settled
        (told,) = (await provisioner.get("acme")).conditions
        assert (told.kind, told.reason) == (ConditionKind.DRIFT, "Template")
        assert told.message == "the template's extra failed for 'acme': KeyError: 'acme'"
        with pytest.raises(TemplateError, match="for 'gamma': KeyError"):
            await create(provisioner, CreateOrganization("gamma", "Gamma", "c@c.example"))
        plans["acme"] = ()

        async def settled() -> bool:
            await provisioner.reconcile_once()
            return (await provisioner.get("acme")).settled

        await until(settled)


async def test_reconciling_goes_on_when_what_stood_in_its_way_is_mended(
    site: Site, provisioner: Provisioner, caplog: pytest.LogCaptureFixture
) -> None:
    await create(provisioner)
    cycles: list[Reconciled] = []

    async def failed() -> bool:
        return "a cycle could not be made" in caplog.text

    async def made() -> bool:
        return bool(cycles)

    with psycopg.connect(site.database_url, autocommit=True) as connection:
        connection.execute("ALTER SCHEMA hotconfig RENAME TO elsewhere")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(provisioner.run, interval_s=0.02, on_cycle=cycles.append))
            await until(failed)
            assert cycles == []
            connection.execute("ALTER SCHEMA elsewhere RENAME TO hotconfig")
            await until(made)
            tasks.cancel_scope.cancel()


async def test_a_namespace_that_somebody_deleted_is_made_anew(site: Site, provisioner: Provisioner) -> None:
    await create(provisioner)
    assert site.double.request("DELETE", ACME).code == 200

    async def back() -> bool:
        await provisioner.reconcile_once()
        return site.double.get(BINDING) is not None and (await provisioner.get("acme")).conditions == ()

    await until(back)
    site.assert_open()


async def test_two_reconcilers_share_the_work(site: Site) -> None:
    async with site.provisioner() as one, site.provisioner() as other:
        for number in range(6):
            await one.create_organization(CreateOrganization(f"t{number}", "T", "t@t.example"), by="ann", wait_s=0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.reconcile_once)
            tasks.start_soon(other.reconcile_once)
        assert {each.state for each in await one.list()} == {State.ACTIVE}
        assert len(site.double.log.calls(method="POST", path="/namespaces$")) == 6


# looking


async def test_a_plan_tells_and_changes_nothing(site: Site, provisioner: Provisioner) -> None:
    planned = await provisioner.plan(acme())
    assert (planned[0].verb, planned[0].kind) == ("create", "Namespace")
    assert planned[-1].kind == "RoleBinding"
    assert site.double.get(ACME) is None
    await create(provisioner)
    assert await provisioner.plan("acme") == ()
    changes = await provisioner.plan("acme", quota=LARGER)
    assert {line.kind for line in changes} == {"ResourceQuota"}
    with pytest.raises(NameTakenError):
        await provisioner.plan(acme())
    with pytest.raises(UnknownOrganizationError):
        await provisioner.plan("nobody")


async def test_where_impersonation_is_not_granted_the_receipt_says_so(site: Site) -> None:
    async with site.provisioner(TenantTemplate()) as provisioner:
        result = await create(provisioner)
        assert result.organization.state is State.ACTIVE
        assert [each.kind for each in result.organization.conditions] == [ConditionKind.PROBES_INCOMPLETE]
        receipt = result.organization.isolation_receipt
        assert receipt is not None
        assert len(receipt.not_made) == 3


def may_impersonate(double: KubernetesDouble) -> None:
    double.grant("provisioner", *PROVISIONER_RULES, Rule(("impersonate",), ("",), ("users", "groups")))


async def test_the_probes_are_denied_to_a_tenant(site: Site) -> None:
    may_impersonate(site.double)
    async with site.provisioner(TenantTemplate()) as provisioner:
        result = await create(provisioner)
        receipt = result.organization.isolation_receipt
        assert receipt is not None
        assert {probe.outcome for probe in receipt.probes} == {"denied"}
        said = {probe.name: probe.said for probe in receipt.probes}
        assert "violates PodSecurity" in said["privileged pod"]
        assert "exceeded quota" in said["pod over the quota"]
        again = await provisioner.isolation_receipt("acme")
        assert (await provisioner.get("acme")).isolation_receipt == again
        assert (await provisioner.get("acme")).lease_owner is None


# programs without an event loop, and what cannot be opened


def test_a_program_without_an_event_loop_has_it_too(site: Site) -> None:
    with SyncProvisioner(site.provisioner()) as provisioner:
        result = provisioner.create_organization(acme(), by="ann", idempotency_key=key(), wait_s=WAIT_S)
        assert result.organization.state is State.ACTIVE
        assert provisioner.list() == (provisioner.get("acme"),)
        with pytest.raises(UnknownOrganizationError):
            provisioner.get("nobody")


async def test_a_kubeconfig_that_cannot_be_used_is_told(site: Site, tmp_path: Path) -> None:
    with pytest.raises(KubernetesTrustError, match="missing"):
        KubernetesClient(tmp_path / "missing")
    broken = tmp_path / "broken"
    broken.write_text("token: canary\n  {", encoding="utf-8")
    with pytest.raises(KubernetesTrustError) as caught:
        KubernetesClient(broken)
    assert "canary" not in str(caught.value)
    for text in ("", "[]", "a: [", "text"):
        broken.write_text(text, encoding="utf-8")
        with pytest.raises(KubernetesTrustError, match="Check the path"):
            KubernetesClient(broken)
    with pytest.raises(KubernetesTrustError, match="lists are not read"):
        KubernetesClient(f"{broken}{os.pathsep}{broken}")
    with pytest.raises(KubernetesTrustError, match="Outside of a pod"):
        KubernetesClient(None)
    async with Provisioner(site.database_url, site.kubeconfig) as provisioner:
        assert await provisioner.list() == ()


async def test_an_untrusted_server_and_a_silent_one_are_told_apart(site: Site, tmp_path: Path) -> None:
    distrusting = tmp_path / "distrusting"
    text = site.kubeconfig.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "certificate-authority-data" not in line]
    distrusting.write_text("\n".join(lines), encoding="utf-8")
    client = KubernetesClient(distrusting)
    with pytest.raises(KubernetesTrustError, match="certificate"):
        await client.get("Namespace", "default", namespace=None)
    await client.close()
    site.double.faults.slow(5.0)
    slow = KubernetesClient(site.kubeconfig, call_timeout_s=0.2)
    with pytest.raises(KubernetesUnavailableError, match="did not answer"):
        await slow.get("Namespace", "default", namespace=None)
    await slow.close()


async def test_a_server_that_is_away_is_named_with_the_reason(site: Site) -> None:
    client = KubernetesClient(site.kubeconfig)
    server = site.double.url.removeprefix("https://").removeprefix("http://")
    site.double.stop()
    with pytest.raises(KubernetesUnavailableError, match=f"{server} did not answer .*: Connection refused"):
        await client.get("Namespace", "default", namespace=None)
    await client.close()


async def test_more_than_one_page_is_listed_whole(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotconfig.provisioner.kubernetes.client.PAGE", 2)
    client = KubernetesClient(site.kubeconfig)
    found = await partial(client.list, "Namespace")()
    await client.close()
    assert {each["metadata"]["name"] for each in found} >= {"default", "kube-system", "kube-public"}
    assert {each["kind"] for each in found} == {"Namespace"}
