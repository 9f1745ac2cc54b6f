"""The state machine of tenants: it converges from wherever it was interrupted, fences first, the gate last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotconfig.core.errors import HotConfigError
from hotconfig.provisioner.brake import brake
from hotconfig.provisioner.errors import (
    KubernetesConflictError,
    KubernetesDeniedError,
    KubernetesRefusedError,
    KubernetesThrottledError,
    KubernetesUnavailableError,
    NamespaceTerminatingError,
)
from hotconfig.provisioner.failures import MAX_RETRY_S, after_failure, retry_delay_s
from hotconfig.provisioner.model import ConditionKind, OperationKind, Probe, QuotaTexts, State
from hotconfig.provisioner.observation import (
    Apply,
    Claim,
    Enforce,
    FillStatus,
    Look,
    Observation,
    ProbeIsolation,
    Remove,
    RemoveNamespace,
    Seen,
    Step,
)
from hotconfig.provisioner.plan import plan
from hotconfig.provisioner.steps import decide
from hotconfig.provisioner.template import (
    ADMIN,
    ALLOW_DNS,
    CORDONED,
    DENY_ALL,
    ORG_ID,
    QUOTA,
    Key,
    TenantTemplate,
    other_binding_name,
)
from tests.support.tenant_world import NOW, UID, Cluster, Die, Interrupted, Row, settle, work

TEMPLATE = TenantTemplate()
OFFBOARD = {"state": State.OFFBOARDING, "purge_after": NOW + timedelta(days=30)}
BINDING = Key("RoleBinding", ADMIN)


def made(template: TenantTemplate = TEMPLATE) -> tuple[Row, Cluster]:
    """An active tenant."""
    row, cluster = Row.new(), Cluster()
    settle(row, cluster, template)
    assert row.organization.state is State.ACTIVE
    cluster.carried_out.clear()
    return row, cluster


def kinds(steps: Sequence[Step]) -> list[str]:
    return [type(step).__name__ for step in steps]


# one tenant from nothing ------------------------------------------------------------------------------------


def test_a_new_tenant_is_claimed_fenced_and_only_then_opened() -> None:
    row, cluster, seen = Row.new(), Cluster(controller=False), Observation()
    waves: list[list[Step]] = []
    while steps := decide(row.organization, seen, TEMPLATE, now=NOW).steps:
        waves.append(list(steps))
        for step in steps:
            seen = seen.after(step, cluster.carry_out(step))
    assert [kinds(wave) for wave in waves] == [
        ["Claim"],
        ["Enforce", "Apply", "Apply", "Apply", "Apply", "Apply"],
        ["Apply"],
        ["ProbeIsolation"],
    ]
    names = [step.manifest["metadata"]["name"] for step in waves[1] if isinstance(step, Apply | Enforce)]
    assert names == [QUOTA, "hotconfig-limits", "default", DENY_ALL, ALLOW_DNS, "org-acme"]
    (binding,) = waves[2]
    assert isinstance(binding, Apply)
    assert binding.manifest["metadata"]["name"] == ADMIN
    progress = decide(row.organization, seen, TEMPLATE, now=NOW).progress
    assert progress is not None
    assert (progress.state, progress.observed_generation, progress.idle) == (State.ACTIVE, 1, True)
    assert progress.namespace_uid == cluster.namespaces["org-acme"]["metadata"]["uid"]


def test_a_settled_tenant_is_looked_at_and_left_alone() -> None:
    row, cluster = made()
    before = cluster.shown()
    work(row, cluster, TEMPLATE)
    assert kinds(cluster.carried_out) == ["Look"]
    assert cluster.shown() == before


# interruption -----------------------------------------------------------------------------------------------

Story = list[tuple[OperationKind, dict[str, Any]]]
CHANGES: dict[OperationKind, dict[str, Any]] = {
    OperationKind.QUOTA: {"quota": QuotaTexts("20", "20Gi", "50Gi")},
    OperationKind.SUSPEND: {"state": State.SUSPENDED},
    OperationKind.RESUME: {"state": State.ACTIVE},
    OperationKind.OFFBOARD: OFFBOARD,
    OperationKind.RESTORE: {"state": State.PROVISIONING, "purge_after": None, "isolation_receipt": None},
    OperationKind.PURGE: {"state": State.PURGING},
}
NEXT = {
    State.ACTIVE: [OperationKind.QUOTA, OperationKind.SUSPEND, OperationKind.OFFBOARD],
    State.SUSPENDED: [OperationKind.QUOTA, OperationKind.RESUME, OperationKind.OFFBOARD],
    State.OFFBOARDING: [OperationKind.RESTORE, OperationKind.PURGE],
}


def spoil_open(cluster: Cluster) -> None:
    if policy := cluster.objects["org-acme"].get(Key("NetworkPolicy", DENY_ALL)):
        policy["spec"]["ingress"] = [{}]


def spoil_quota(cluster: Cluster) -> None:
    if quota := cluster.objects["org-acme"].get(Key("ResourceQuota", QUOTA)):
        quota["spec"]["hard"]["requests.cpu"] = "99"


def spoil_labels(cluster: Cluster) -> None:
    cluster.namespaces["org-acme"]["metadata"]["labels"].clear()


def spoil_binding(cluster: Cluster) -> None:
    cluster.objects["org-acme"].pop(BINDING, None)


def spoil_subjects(cluster: Cluster) -> None:
    if BINDING in cluster.objects["org-acme"]:
        cluster.objects["org-acme"][BINDING]["subjects"].append({"kind": "User", "name": "eve"})


def spoil_everything(cluster: Cluster) -> None:
    cluster.objects["org-acme"].clear()


def spoil_namespace(cluster: Cluster) -> None:
    del cluster.namespaces["org-acme"], cluster.objects["org-acme"]


SPOILS: list[Callable[[Cluster], None]] = [
    spoil_open,
    spoil_quota,
    spoil_labels,
    spoil_binding,
    spoil_subjects,
    spoil_everything,
    spoil_namespace,
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_from_any_point_of_interruption_the_end_is_the_same(data: st.DataObject) -> None:
    """A worker dies anywhere, again while recovering; others begin with nothing but the row."""
    template = TenantTemplate(allow_within=data.draw(st.booleans()))
    controller = data.draw(st.booleans())
    remembers = data.draw(st.booleans())
    calm, rough = (Row.new(), Cluster(controller)), (Row.new(), Cluster(controller, remembers))
    for turn in range(data.draw(st.integers(1, 5))):
        settle(*calm, template)
        for _ in range(data.draw(st.integers(0, 3))):
            try:
                work(*rough, template, Die(data.draw(st.integers(0, 14))))
            except Interrupted:
                continue
        settle(*rough, template)
        assert rough[1].shown() == calm[1].shown()
        assert rough[0].organization.state is calm[0].organization.state
        choices = NEXT.get(calm[0].organization.state)
        if choices is None:
            return
        kind = data.draw(st.sampled_from(choices), label=f"operation {turn}")
        for row, _ in (calm, rough):
            row.ask(kind, **CHANGES[kind])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(SPOILS), max_size=3), st.sampled_from([State.ACTIVE, State.SUSPENDED]))
def test_whatever_is_spoilt_is_repaired(spoils: list[Callable[[Cluster], None]], state: State) -> None:
    row, cluster = made()
    if state is State.SUSPENDED:
        row.ask(OperationKind.SUSPEND, state=state)
        settle(row, cluster, TEMPLATE)
    before = cluster.shown()
    for spoil in spoils:
        if "org-acme" in cluster.namespaces:
            spoil(cluster)
    settle(row, cluster, TEMPLATE)
    assert cluster.shown() == before
    assert row.organization.state is state


# suspending, offboarding, purging ---------------------------------------------------------------------------


def test_a_suspended_tenant_starts_nothing_new_and_resuming_leaves_no_trace() -> None:
    row, cluster = made()
    before = cluster.shown()
    row.ask(OperationKind.SUSPEND, state=State.SUSPENDED)
    settle(row, cluster, TEMPLATE)
    assert cluster.namespaces["org-acme"]["metadata"]["labels"][CORDONED] == "true"
    quota = cluster.objects["org-acme"][Key("ResourceQuota", QUOTA)]
    assert quota["status"]["hard"]["pods"] == "0"
    row.ask(OperationKind.RESUME, state=State.ACTIVE)
    settle(row, cluster, TEMPLATE)
    assert cluster.shown() == before


def test_offboarding_shuts_everything_at_once_without_deleting_anything() -> None:
    row, cluster = made(TenantTemplate(allow_within=True))
    row.ask(OperationKind.OFFBOARD, **OFFBOARD)
    progress = work(row, cluster, TenantTemplate(allow_within=True))
    inside = cluster.objects["org-acme"]
    assert inside[BINDING]["subjects"] == []
    policies = [each["spec"] for key, each in inside.items() if key.kind == "NetworkPolicy"]
    assert len(policies) == 3
    assert not any(each.get("ingress") or each.get("egress") for each in policies)
    assert cluster.namespaces["org-acme"]["metadata"]["labels"][CORDONED] == "true"
    assert not [step for step in cluster.carried_out if isinstance(step, Remove | RemoveNamespace)]
    assert progress is not None
    assert progress.retry_in_s == 30 * 86400
    (first, *_) = [step for step in cluster.carried_out if isinstance(step, Apply)]
    assert first.manifest["kind"] == "RoleBinding"


def test_after_the_retention_it_is_purged_and_buried() -> None:
    row, cluster = made()
    row.ask(OperationKind.OFFBOARD, **OFFBOARD)
    settle(row, cluster, TEMPLATE)
    row.now += timedelta(days=31)
    work(row, cluster, TEMPLATE)
    assert row.organization.state is State.PURGING
    assert "deletionTimestamp" in cluster.namespaces["org-acme"]["metadata"]
    cluster.finish_deletions()
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert (progress.state, progress.quarantine_s) == (State.DELETED, TEMPLATE.quarantine_s)


def test_what_is_protected_or_braked_is_not_purged() -> None:
    row, cluster = made()
    row.ask(OperationKind.OFFBOARD, **OFFBOARD)
    settle(row, cluster, TEMPLATE)
    row.now += timedelta(days=31)
    protected = Row(replace(row.organization, deletion_protected=True), row.now)
    progress = work(protected, cluster, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert (progress.state, progress.conditions[0].kind) == (None, ConditionKind.DELETION_HELD)
    purging = replace(row.organization, state=State.PURGING)
    live = cluster.namespaces["org-acme"]
    for organization in (row.organization, purging):
        looked = Observation(looked=True, namespace=live, objects=cluster.objects["org-acme"])
        decision = decide(organization, looked, TEMPLATE, now=row.now, may_delete=False)
        assert decision.steps == ()
        assert decision.progress is not None
        assert decision.progress.state is None


def test_a_namespace_of_somebody_else_is_not_deleted_with_the_tenant() -> None:
    row, cluster = made()
    spoil_namespace(cluster)
    cluster.create_namespace("org-acme", {ORG_ID: str(uuid4())})
    row.ask(OperationKind.PURGE, state=State.PURGING)
    settle(row, cluster, TEMPLATE)
    assert row.organization.state is State.DELETED
    assert "deletionTimestamp" not in cluster.namespaces["org-acme"]["metadata"]


@settings(deadline=None)
@given(st.sampled_from([state for state in State if state is not State.PURGING]), st.booleans())
def test_only_purging_deletes_a_namespace(state: State, there: bool) -> None:
    row, cluster = made()
    row.organization = replace(row.organization, state=state, purge_after=NOW + timedelta(days=1))
    if not there:
        spoil_namespace(cluster)
    work(row, cluster, TEMPLATE)
    assert not [step for step in cluster.carried_out if isinstance(step, RemoveNamespace)]


# strangers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", [{}, {ORG_ID: str(uuid4())}])
def test_a_strangers_namespace_fails_the_claim_and_nothing_is_written(whose: dict[str, str]) -> None:
    row, cluster = Row.new(), Cluster()
    cluster.create_namespace("org-acme", whose)
    before = cluster.shown()
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.error is not None
    assert (row.organization.state, progress.error["code"]) == (State.FAILED, "NamespaceConflict")
    assert cluster.shown() == before
    assert kinds(cluster.carried_out) == ["Claim", "Look"]


@pytest.mark.parametrize(
    ("policy", "state"), [("never", State.FAILED), ("if_identical", State.FAILED), ("always", State.ACTIVE)]
)
def test_adoption_takes_an_empty_namespace_only_when_told_to(policy: str, state: State) -> None:
    row, cluster = Row.new(), Cluster()
    cluster.create_namespace("org-acme")
    row.ask(OperationKind.ADOPT, request={"adoption": policy})
    settle(row, cluster, TEMPLATE)
    assert row.organization.state is state
    assert (ORG_ID in cluster.namespaces["org-acme"]["metadata"]["annotations"]) is (state is State.ACTIVE)


def test_adoption_if_identical_takes_what_is_already_as_it_should_be() -> None:
    row, cluster = made()
    cluster.namespaces["org-acme"]["metadata"]["annotations"].clear()
    row.organization = replace(row.organization, state=State.PROVISIONING, namespace_uid=None)
    row.ask(OperationKind.ADOPT, request={"adoption": "if_identical"})
    settle(row, cluster, TEMPLATE)
    assert row.organization.state is State.ACTIVE
    assert cluster.namespaces["org-acme"]["metadata"]["annotations"] == {ORG_ID: str(UID)}


def test_a_stranger_in_an_active_tenants_place_is_told_and_left() -> None:
    row, cluster = made()
    spoil_namespace(cluster)
    cluster.create_namespace("org-acme")
    before = cluster.shown()
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert (progress.state, progress.conditions[0].reason) == (None, "NamespaceConflict")
    assert cluster.shown() == before


def test_a_terminating_namespace_is_waited_for() -> None:
    row, cluster = Row.new(), Cluster()
    cluster.create_namespace("org-acme", {ORG_ID: str(UID)})["metadata"]["deletionTimestamp"] = "now"
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert progress.conditions[0].kind is ConditionKind.NAME_BUSY
    settle(row, cluster, TEMPLATE)
    assert row.organization.state is State.ACTIVE


# quotas, bindings, probes -----------------------------------------------------------------------------------


def test_without_a_controller_the_quota_is_put_in_force_also_for_a_raise() -> None:
    row, cluster = Row.new(), Cluster(controller=False)
    settle(row, cluster, TEMPLATE)
    row.ask(OperationKind.QUOTA, quota=QuotaTexts("20", "20Gi", "50Gi"))
    settle(row, cluster, TEMPLATE)
    quota = cluster.objects["org-acme"][Key("ResourceQuota", QUOTA)]
    assert quota["status"]["hard"] == quota["spec"]["hard"]
    assert quota["spec"]["hard"]["requests.storage"] == "50Gi"


def test_a_status_that_never_follows_is_pending_not_done() -> None:
    class Stubborn(Cluster):
        def _fill(self, _: Any) -> Any:
            return self.objects["org-acme"][Key("ResourceQuota", QUOTA)]

    row, cluster = Row.new(), Stubborn(controller=False)
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert (progress.state, progress.conditions[0].kind) == (None, ConditionKind.UPDATE_PENDING)
    assert len([step for step in cluster.carried_out if isinstance(step, Enforce | FillStatus)]) == 4
    assert BINDING not in cluster.objects["org-acme"]


def test_unreadable_quota_rows_keep_a_new_tenant_out_and_an_active_one_as_it_is() -> None:
    row, cluster = Row.new(quota=QuotaTexts("plenty", "20Gi", "10Gi")), Cluster()
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert progress.conditions[0].kind is ConditionKind.QUOTA_INVALID
    assert BINDING not in cluster.objects["org-acme"]
    row, cluster = made()
    before = cluster.shown()
    row.organization = replace(row.organization, quota=QuotaTexts())
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert progress.conditions[0].kind is ConditionKind.QUOTA_INVALID
    assert cluster.shown() == before


def test_another_role_is_bound_before_the_old_binding_goes() -> None:
    row, cluster = made()
    other = TenantTemplate(cluster_role="viewer")
    settle(row, cluster, other)
    bindings = [step for step in cluster.carried_out if not isinstance(step, Look)]
    assert kinds(bindings) == ["Apply", "Remove"]
    (key,) = [key for key in cluster.objects["org-acme"] if key.kind == "RoleBinding"]
    assert key.name == other_binding_name("viewer")
    cluster.carried_out.clear()
    settle(row, cluster, other)
    assert kinds(cluster.carried_out) == ["Look"]
    settle(row, cluster, TEMPLATE)
    assert [key.name for key in cluster.objects["org-acme"] if key.kind == "RoleBinding"] == [ADMIN]


def test_a_policy_that_the_template_no_longer_has_is_closed_not_deleted() -> None:
    row, cluster = made(TenantTemplate(allow_within=True))
    settle(row, cluster, TEMPLATE)
    live = cluster.objects["org-acme"][Key("NetworkPolicy", "hotconfig-allow-within")]
    assert (live["spec"]["ingress"], live["spec"]["egress"]) == ([], [])
    cluster.carried_out.clear()
    settle(row, cluster, TEMPLATE)
    assert kinds(cluster.carried_out) == ["Look"]


def test_a_breach_shuts_the_gate_and_fails() -> None:
    row, cluster = Row.new(), Cluster(probe=lambda: (Probe("privileged", "allowed"), Probe("other", "denied")))
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.error is not None
    assert (progress.state, progress.error["code"]) == (State.FAILED, "IsolationBreached")
    assert "privileged" in progress.error["message"]
    assert cluster.objects["org-acme"][BINDING]["subjects"] == []


def test_probes_that_could_not_be_made_are_told() -> None:
    row, cluster = Row.new(), Cluster(probe=lambda: (Probe("privileged", "not_made", "no impersonation"),))
    progress = work(row, cluster, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert (progress.state, progress.conditions[0].kind) == (State.ACTIVE, ConditionKind.PROBES_INCOMPLETE)


def test_what_apply_does_not_repair_ends_the_round() -> None:
    row, cluster = made()

    class Deaf(Cluster):
        def _apply(self, _: Any) -> Any:
            return self.objects["org-acme"][Key("NetworkPolicy", DENY_ALL)]

    deaf = Deaf(namespaces=cluster.namespaces, objects=cluster.objects)
    spoil_open(deaf)
    progress = work(row, deaf, TEMPLATE)
    assert progress is not None
    assert progress.conditions is not None
    assert progress.conditions[0].reason == "NotRepaired"
    assert kinds(deaf.carried_out) == ["Look", "Apply", "Apply"]


def test_a_quota_that_overlooks_pods_is_made_anew() -> None:
    row, cluster = made()
    cluster.objects["org-acme"][Key("ResourceQuota", QUOTA)]["spec"]["scopes"] = ["BestEffort"]
    settle(row, cluster, TEMPLATE)
    assert kinds(cluster.carried_out)[:3] == ["Look", "Remove", "Enforce"]
    assert "scopes" not in cluster.objects["org-acme"][Key("ResourceQuota", QUOTA)]["spec"]


# failures, brake, plan --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KubernetesUnavailableError("gone"), ConditionKind.KUBERNETES_UNAVAILABLE),
        (NamespaceTerminatingError("going"), ConditionKind.NAME_BUSY),
        (KubernetesConflictError("first"), ConditionKind.UPDATE_PENDING),
    ],
)
def test_what_time_heals_is_tried_again(error: HotConfigError, kind: ConditionKind) -> None:
    row = Row.new()
    progress = after_failure(row.organization, error, now=NOW, chance=0.5)
    assert progress.conditions is not None
    assert (progress.state, progress.conditions[0].kind, progress.attempts) == (None, kind, 1)
    assert progress.retry_in_s


def test_a_refusal_is_final_while_provisioning_and_a_condition_afterwards() -> None:
    row, _ = made()
    provisioning = replace(row.organization, state=State.PROVISIONING)
    for error in (KubernetesDeniedError("may not create namespaces"), KubernetesRefusedError("bad")):
        final = after_failure(provisioning, error, now=NOW, chance=0.5)
        assert final.error is not None
        assert (final.state, final.error["message"]) == (State.FAILED, str(error))
        later = after_failure(row.organization, error, now=NOW, chance=0.5)
        assert later.conditions is not None
        assert (later.state, later.error, later.conditions[0].kind) == (None, None, ConditionKind.DRIFT)


def test_retry_after_is_honoured() -> None:
    error = KubernetesThrottledError("slow down", retry_after_s=42.0)
    assert after_failure(Row.new().organization, error, now=NOW, chance=0.0).retry_in_s == 42.0


def test_a_condition_keeps_its_since_while_it_stays_the_same() -> None:
    organization = Row.new().organization
    error = KubernetesUnavailableError("gone")
    first = after_failure(organization, error, now=NOW, chance=0.5).conditions
    assert first is not None
    organization = replace(organization, conditions=first)
    assert after_failure(organization, error, now=NOW + timedelta(hours=1), chance=0.5).conditions == first


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_delays_are_bounded_and_never_nothing(attempts: int, chance: float) -> None:
    assert 0 < retry_delay_s(attempts, chance) <= MAX_RETRY_S


@settings(deadline=None)
@given(
    st.lists(st.text("abc", min_size=1, max_size=4), unique=True),
    st.integers(0, 5),
    st.integers(0, 50),
    st.one_of(st.none(), st.integers(0, 50)),
)
def test_the_brake_lets_at_most_so_many_go_and_none_after_too_little_was_read(
    candidates: list[str], limit: int, seen: int, before: int | None
) -> None:
    braked = brake(candidates, limit=limit, rows_seen=seen, rows_before=before)
    assert braked.allowed | braked.held == set(candidates)
    assert not braked.allowed & braked.held
    assert len(braked.allowed) <= limit
    if seen == 0 or (before is not None and seen < before):
        assert not braked.allowed
        assert braked.reason in {"empty read", "short read"}
    elif braked.held:
        assert braked.reason == "limit"


def test_a_plan_tells_everything_and_does_nothing() -> None:
    lines = plan(Row.new().organization, Observation(), TEMPLATE, now=NOW)
    assert [(line.verb, line.kind, line.name) for line in lines] == [
        ("create", "Namespace", "org-acme"),
        ("apply", "ResourceQuota", QUOTA),
        ("fill status", "ResourceQuota", QUOTA),
        ("apply", "LimitRange", "hotconfig-limits"),
        ("apply", "ServiceAccount", "default"),
        ("apply", "NetworkPolicy", DENY_ALL),
        ("apply", "NetworkPolicy", ALLOW_DNS),
        ("apply", "Namespace", "org-acme"),
        ("apply", "RoleBinding", ADMIN),
    ]
    row, cluster = made()
    spoil_open(cluster)
    look = Look("org-acme")
    seen = Observation().after(look, cluster.carry_out(look))
    (line,) = plan(row.organization, seen, TEMPLATE, now=NOW)
    assert (line.verb, line.name, line.why) == ("apply", DENY_ALL, "spec.ingress differs")
    purging = replace(row.organization, state=State.PURGING)
    assert [line.verb for line in plan(purging, seen, TEMPLATE, now=NOW)] == ["delete"]


def test_an_answer_of_the_wrong_shape_is_an_error_of_the_program() -> None:
    with pytest.raises(TypeError, match="Look is not answered with NoneType"):
        Observation().after(Look("org-acme"), None)
    with pytest.raises(TypeError, match="ProbeIsolation is not answered with Seen"):
        Observation().after(ProbeIsolation("org-acme", "u"), Seen(None))
    assert Observation().after(Claim({"kind": "Namespace"}), None).claims == 1
