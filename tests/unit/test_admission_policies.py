"""The admission policies that `manifests` prints: what they let through and what they refuse, by their own CEL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from hotconfig.provisioner.manifests import PROVISIONER, PURGER, policies
from hotconfig.provisioner.template import CORDONED, MANAGER
from tests.support.admission import Admission, check, denials, holds
from tests.support.exchanges import EXCHANGES

POLICIES = {each["metadata"]["name"]: each for each in policies() if each["kind"] == "ValidatingAdmissionPolicy"}
FENCE, GUARD, CORDON = (POLICIES[f"hotconfig-{name}"] for name in ("fence", "guard", "cordon"))
RBAC = "rbac.authorization.k8s.io"
NETWORKING = "networking.k8s.io"

US = {name: f"system:serviceaccount:hotconfig-system:{name}" for name in (PROVISIONER, PURGER)}
AS_RECORDED = {
    "admin": ("kubernetes-admin", ("system:masters",)),
    "provisioner": (US[PROVISIONER], ("system:serviceaccounts",)),
    "tenant-admin": ("alice@acme.example", ("org:acme:admin",)),
}
OPERATIONS = {"POST": "CREATE", "PATCH": "UPDATE", "PUT": "UPDATE", "DELETE": "DELETE"}


def asked(exchange: dict[str, Any]) -> Admission:
    """The admission request of a recorded exchange that was carried out."""
    request, answer = exchange["request"], exchange["response"]
    path = urlsplit(request["path"]).path.split("/")[1:]
    group = path[1] if path[0] == "apis" else ""
    rest = path[3:] if group else path[2:]
    namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 1 else ""
    within = rest[2:] if len(rest) > 2 else rest
    resource = "/".join([within[0], *within[2:]])
    body, method = answer["body"], request["method"]
    name = body["metadata"]["name"]
    user, groups = AS_RECORDED[exchange["as"]]
    created = answer["status"] == 201
    operation = "CREATE" if created else OPERATIONS[method]
    new, old = (None, body) if operation == "DELETE" else (body, None if created else body)
    space = name if within[0] == "namespaces" else namespace
    return Admission(operation, group, resource, name, space, user, groups, new, old)


def written(by: str) -> list[dict[str, Any]]:
    """What ``by`` wrote in the recording, and was let."""
    return [
        each
        for each in EXCHANGES
        if each["as"] == by and each["request"]["method"] != "GET" and each["response"]["status"] in {200, 201}
    ]


def titles(exchanges: list[dict[str, Any]]) -> list[str]:
    return [each["title"] for each in exchanges]


@pytest.mark.parametrize("exchange", written("provisioner"), ids=titles(written("provisioner")))
def test_everything_that_the_provisioner_did_in_the_recording_is_let_through(exchange: dict[str, Any]) -> None:
    found = asked(exchange)
    assert [denials(policy, found) for policy in POLICIES.values()] == [[], [], []]


@pytest.mark.parametrize("exchange", written("provisioner"), ids=titles(written("provisioner")))
def test_the_same_outside_of_org_namespaces_is_fenced_off(exchange: dict[str, Any]) -> None:
    found = asked(exchange)
    name = "kube-system" if found.resource == "namespaces" else found.name
    outside = replace(found, namespace="kube-system", name=name)
    assert "the provisioner touches nothing outside org-*" in denials(FENCE, outside)
    assert denials(FENCE, replace(outside, user="kubernetes-admin")) == [], "whoever else may, may"


def test_recordings_of_every_kind_were_looked_at() -> None:
    found = {asked(each).resource for each in written("provisioner")}
    assert {
        "namespaces",
        "resourcequotas",
        "limitranges",
        "serviceaccounts",
        "networkpolicies",
        "rolebindings",
    } <= found


def binding(*subjects: dict[str, str]) -> Admission:
    (exchange,) = [each for each in EXCHANGES if each["title"] == "apply RoleBinding with the bind verb"]
    found = asked(exchange)
    assert found.new is not None
    return replace(found, new={**found.new, "subjects": list(subjects)})


def group(name: str) -> dict[str, str]:
    return {"apiGroup": RBAC, "kind": "Group", "name": name}


@pytest.mark.parametrize(
    "subject",
    [
        group("org:beta:admin"),
        group("org:acme-corp:admin"),
        group("org:acme"),
        group("system:authenticated"),
        {"apiGroup": RBAC, "kind": "User", "name": "org:acme:admin"},
        {"kind": "ServiceAccount", "name": PROVISIONER, "namespace": "hotconfig-system"},
    ],
    ids=lambda subject: f"{subject['kind']} {subject['name']}",
)
def test_the_provisioner_binds_nobody_else(subject: dict[str, str]) -> None:
    message = "the provisioner binds nobody but groups of the organization itself"
    assert denials(FENCE, binding(subject)) == [message]
    assert denials(FENCE, binding(group("org:acme:admin"), subject)) == [message], "nor beside the right ones"


def test_it_binds_the_groups_of_the_organization_and_nobody() -> None:
    assert denials(FENCE, binding(group("org:acme:admin"), group("org:acme:viewer"))) == []
    empty = binding()
    assert empty.new is not None
    without = {key: value for key, value in empty.new.items() if key != "subjects"}
    assert denials(FENCE, empty) == denials(FENCE, replace(empty, new=without)) == []


def test_the_purger_deletes_within_org_namespaces_alone() -> None:
    (exchange,) = [each for each in EXCHANGES if each["title"] == "delete namespace with the right uid"]
    found = replace(asked(exchange), user=US[PURGER])
    assert denials(FENCE, found) == []
    assert denials(FENCE, replace(found, name="default", namespace="default"))
    unbound = replace(binding(group("org:acme:admin")), operation="DELETE", user=US[PURGER])
    unbound = replace(unbound, old=unbound.new, new=None)
    assert denials(FENCE, unbound) == []


def labelled(body: Any) -> bool:
    return bool(body) and body["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == MANAGER


GUARDED = [each for each in written("provisioner") if labelled(asked(each).new)]
TENANTS = {
    "administrator": ("alice@acme.example", ("org:acme:admin", "system:authenticated")),
    "workload": ("system:serviceaccount:org-acme:app", ("system:serviceaccounts", "system:serviceaccounts:org-acme")),
}


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("operation", ["UPDATE", "DELETE"])
@pytest.mark.parametrize("exchange", GUARDED, ids=titles(GUARDED))
def test_what_the_provisioner_made_is_guarded_from_tenants(
    exchange: dict[str, Any], operation: str, tenant: str
) -> None:
    found = asked(exchange)
    user, groups = TENANTS[tenant]
    gone = operation == "DELETE"
    change = replace(found, operation=operation, new=None if gone else found.new, old=found.new, user=user)
    message = "this object belongs to the baseline of the tenant: ask the platform to change it"
    assert message in denials(GUARD, replace(change, groups=groups))
    assert denials(GUARD, replace(change, user="kubernetes-admin", groups=("system:masters",))) == []
    assert denials(GUARD, replace(change, user="system:kube-controller-manager", groups=("system:nodes",))) == []


def test_guarded_is_every_kind_that_a_tenant_has() -> None:
    guarded = {asked(each).resource for each in GUARDED}
    assert guarded >= {"resourcequotas", "limitranges", "networkpolicies", "rolebindings", "serviceaccounts"}


def by_tenant(operation: str, resource: str, *, old: dict[str, Any] | None = None, apis: str = "") -> Admission:
    user, groups = TENANTS["administrator"]
    body = {"metadata": {"name": "mine", "namespace": "org-acme"}}
    new = None if operation == "DELETE" else body
    return Admission(operation, apis, resource, "mine", "org-acme", user, groups, new, old)


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_a_tenant_opens_no_network(operation: str) -> None:
    old = None if operation == "CREATE" else {"metadata": {"name": "mine"}}
    found = by_tenant(operation, "networkpolicies", old=old, apis=NETWORKING)
    assert denials(GUARD, found) == ["the network of a tenant is opened by the platform"]


@pytest.mark.parametrize("labels", [None, {}, {"app": "mine"}, {"app.kubernetes.io/managed-by": "Helm"}])
@pytest.mark.parametrize("resource", ["serviceaccounts", "resourcequotas", "limitranges"])
def test_what_tenants_made_themselves_is_theirs(resource: str, labels: dict[str, str] | None) -> None:
    old: dict[str, Any] = {"metadata": {"name": "mine"} | ({} if labels is None else {"labels": labels})}
    assert denials(GUARD, by_tenant("CREATE", resource)) == []
    assert denials(GUARD, by_tenant("UPDATE", resource, old=old)) == []
    assert denials(GUARD, by_tenant("DELETE", resource, old=old)) == []


POD: dict[str, Any] = {"metadata": {"name": "p", "namespace": "org-acme"}, "spec": {"containers": []}}


@pytest.mark.parametrize("who", ["alice@acme.example", "system:serviceaccount:kube-system:job-controller"])
def test_in_a_cordoned_namespace_nothing_starts_whoever_asks(who: str) -> None:
    start = Admission("CREATE", "", "pods", "p", "org-acme", who, (), POD, labels={CORDONED: "true"})
    debug = replace(start, operation="UPDATE", resource="pods/ephemeralcontainers", old=POD)
    for each in (start, debug):
        assert denials(CORDON, each) == ["this tenant is suspended: nothing new starts"]
        assert denials(CORDON, replace(each, labels={})) == []


def test_in_a_cordoned_namespace_what_runs_is_reported_and_may_end() -> None:
    running = Admission("UPDATE", "", "pods/status", "p", "org-acme", "k", (), POD, POD, labels={CORDONED: "true"})
    ending = replace(running, operation="DELETE", resource="pods", new=None)
    assert denials(CORDON, running) == denials(CORDON, ending) == []


@pytest.mark.parametrize("policy", POLICIES.values(), ids=list(POLICIES))
def test_every_expression_is_of_the_type_that_it_must_be(policy: dict[str, Any]) -> None:
    """Compiles with names and overloads checked, so also the branches that no object here takes."""
    spec = policy["spec"]
    for each in (*spec.get("matchConditions", ()), *spec["validations"]):
        check(each["expression"])


@pytest.mark.parametrize("wrong", ["requests.name == ''", "request.name.substr(4) == ''", "request.name", "1 + 'a'"])
def test_a_wrong_expression_would_be_noticed(wrong: str) -> None:
    with pytest.raises((RuntimeError, AssertionError)):
        holds(wrong, asked(GUARDED[0]).variables())
