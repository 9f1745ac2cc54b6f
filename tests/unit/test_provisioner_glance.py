"""What a change of quota looks at before it is made: what makes the difference, and whose it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hotconfig.provisioner.model import ConditionKind, OperationKind, QuotaTexts, State
from hotconfig.provisioner.observation import FillStatus, Glance, Look, Observation, Renew
from hotconfig.provisioner.steps import decide
from hotconfig.provisioner.template import CORDONED, DENY_ALL, QUOTA, Key, TenantTemplate
from hotconfig.provisioner.worker import Memory
from tests.support.tenant_world import NOW, Cluster, Row, settle, work

TEMPLATE = TenantTemplate()
LIVE = Key("ResourceQuota", QUOTA)


def made(*, remembers: bool) -> tuple[Row, Cluster]:
    """An active tenant, and what was carried out forgotten."""
    row, cluster = Row.new(), Cluster(remembers=remembers, controller=False)
    settle(row, cluster, TEMPLATE)
    cluster.carried_out.clear()
    return row, cluster


def ask_for(row: Row, cpu: str) -> None:
    row.organization = replace(row.organization, quota=QuotaTexts(cpu, "20Gi", "10Gi"))
    row.ask(OperationKind.QUOTA)


def carried_out(cluster: Cluster) -> list[str]:
    return [type(step).__name__ for step in cluster.carried_out]


def test_a_known_tenants_quota_is_in_force_after_two_round_trips() -> None:
    row, cluster = made(remembers=True)
    ask_for(row, "20")
    work(row, cluster, TEMPLATE)
    assert carried_out(cluster) == ["Renew", "FillStatus"]
    assert cluster.objects["org-acme"][LIVE]["status"]["hard"]["requests.cpu"] == "20"
    assert row.organization.settled


def test_an_unknown_tenants_quota_takes_a_glance_at_whose_it_is() -> None:
    row, cluster = made(remembers=False)
    ask_for(row, "20")
    work(row, cluster, TEMPLATE)
    assert carried_out(cluster) == ["Glance", "Enforce"]
    assert row.organization.settled


@pytest.mark.parametrize("remembers", [False, True])
def test_in_a_strangers_namespace_of_the_same_name_nothing_is_written(remembers: bool) -> None:
    row, cluster = made(remembers=remembers)
    cluster.create_namespace("org-acme")
    before = cluster.shown()
    ask_for(row, "20")
    work(row, cluster, TEMPLATE)
    assert cluster.shown() == before
    assert [each.reason for each in row.organization.conditions] == ["NamespaceConflict"]
    assert not row.organization.settled


@pytest.mark.parametrize("remembers", [False, True])
def test_a_quota_that_somebody_removed_comes_back_with_all_the_rest(remembers: bool) -> None:
    row, cluster = made(remembers=remembers)
    del cluster.objects["org-acme"][LIVE]
    del cluster.objects["org-acme"][Key("NetworkPolicy", DENY_ALL)]
    ask_for(row, "20")
    work(row, cluster, TEMPLATE)
    assert any(isinstance(step, Look) for step in cluster.carried_out)
    assert Key("NetworkPolicy", DENY_ALL) in cluster.objects["org-acme"]
    assert cluster.objects["org-acme"][LIVE]["spec"]["hard"]["requests.cpu"] == "20"


@pytest.mark.parametrize("remembers", [False, True])
def test_a_namespace_that_is_being_deleted_is_waited_for(remembers: bool) -> None:
    row, cluster = made(remembers=remembers)
    cluster.namespaces["org-acme"]["metadata"]["deletionTimestamp"] = NOW.isoformat()
    ask_for(row, "20")
    work(row, cluster, TEMPLATE)
    assert [each.kind for each in row.organization.conditions] == [ConditionKind.NAME_BUSY]
    assert not any(isinstance(step, FillStatus) for step in cluster.carried_out)


@pytest.mark.parametrize("remembers", [False, True])
def test_a_change_of_quota_also_carries_out_what_was_asked_before_it(remembers: bool) -> None:
    row, cluster = made(remembers=remembers)
    row.ask(OperationKind.SUSPEND, state=State.SUSPENDED)
    ask_for(row, "20")
    work(row, cluster, TEMPLATE)
    assert cluster.namespaces["org-acme"]["metadata"]["labels"][CORDONED] == "true"
    assert cluster.objects["org-acme"][LIVE]["spec"]["hard"]["pods"] == "0"
    row.ask(OperationKind.RESUME, state=State.ACTIVE)
    ask_for(row, "30")
    work(row, cluster, TEMPLATE)
    assert CORDONED not in cluster.namespaces["org-acme"]["metadata"]["labels"]
    assert "pods" not in cluster.objects["org-acme"][LIVE]["spec"]["hard"]


def test_whoever_is_in_trouble_or_not_known_to_stand_is_looked_at_whole() -> None:
    row, cluster = made(remembers=True)
    ask_for(row, "20")
    seen, organization = Observation(known=cluster.known), row.organization
    tried = replace(organization, attempts=1)
    unclaimed = replace(organization, namespace_uid=None)
    settled = replace(organization, observed_generation=organization.generation)
    returning = replace(organization, state=State.PROVISIONING)
    for each in (tried, unclaimed, settled, returning):
        assert isinstance(decide(each, seen, TEMPLATE, now=NOW).steps[0], Look)
    elsewhere = replace(organization, namespace_uid="another")
    assert isinstance(decide(elsewhere, seen, TEMPLATE, now=NOW).steps[0], Glance)
    assert isinstance(decide(organization, seen, TEMPLATE, now=NOW).steps[0], Renew)


def test_only_so_many_are_remembered_and_the_longest_known_goes_first() -> None:
    _, cluster = made(remembers=True)
    memory = Memory(most=2)
    for slug in ("one", "two", "one", "three"):
        memory.keep(slug, cluster.known)
    assert (memory.of("two"), memory.of("one"), memory.of("three")) == (None, cluster.known, cluster.known)
    memory.keep("one", None)
    assert memory.of("one") is None
