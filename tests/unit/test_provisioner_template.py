"""What a tenant is made of, and what counts as drift from it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotconfig.provisioner.drift import compare, in_force, overused
from hotconfig.provisioner.errors import InvalidQuantityError, TemplateError
from hotconfig.provisioner.model import Quota
from hotconfig.provisioner.template import (
    CORDONED,
    MANAGER,
    Desired,
    Manifest,
    TenantTemplate,
    desired,
    fenced,
    with_status,
)
from tests.support.tenant_world import UID, Row

ORGANIZATION = Row.new().organization
QUOTA = Quota("10", "20Gi", "10Gi")
ORG = "0192f0c1-7c7e-7d3a-9a51-3f0a3b8b2f11"
LABELS = {
    "app.kubernetes.io/managed-by": "hotconfig-provisioner",
    "hotconfig.dev/tenant": "acme",
    "hotconfig.dev/org-id": ORG,
}


def make(template: TenantTemplate | None = None, **how: Any) -> Desired:
    return desired(ORGANIZATION, template or TenantTemplate(), QUOTA, **how)


def named(wanted: Desired, name: str) -> Manifest:
    (found,) = [each for each in wanted.behind_the_gate if each["metadata"]["name"] == name]
    return found


def metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "org-acme", "labels": LABELS}


def test_the_objects_are_those_that_a_real_api_server_was_shown() -> None:
    """As in the recorded exchanges of kube-apiserver 1.36."""
    wanted = make(TenantTemplate(cluster_role="admin"), operation_id="op-1")
    assert wanted.claim == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "org-acme",
            "annotations": {"hotconfig.dev/org-id": ORG, "hotconfig.dev/operation-id": "op-1"},
        },
    }
    assert fenced(wanted.namespace, "u")["metadata"] == {
        "name": "org-acme",
        "uid": "u",
        "labels": {
            **LABELS,
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "v1.36",
        },
        "annotations": {"hotconfig.dev/org-id": ORG},
    }
    assert wanted.quota == {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata("hotconfig-quota"),
        "spec": {
            "hard": {
                "requests.cpu": "10",
                "requests.memory": "20Gi",
                "limits.cpu": "10",
                "limits.memory": "20Gi",
                "requests.storage": "10Gi",
            }
        },
    }
    assert wanted.fences == (
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": metadata("hotconfig-limits"),
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "default": {"cpu": "500m", "memory": "512Mi"},
                        "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
                    }
                ]
            },
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata("default"),
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata("hotconfig-deny-all"),
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata("hotconfig-allow-dns"),
            "spec": {
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": [
                    {
                        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
                        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                    }
                ],
            },
        },
    )
    assert wanted.binding == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata("hotconfig-admin"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "org:acme:admin"}],
    }


def test_the_shipped_role_is_bound_unless_told_otherwise() -> None:
    assert make().binding["roleRef"]["name"] == "tenant-admin"


def extra(*manifests: Manifest) -> TenantTemplate:
    return TenantTemplate(extra=lambda _: manifests)


def test_a_platform_adds_objects_that_stand_before_anybody_is_let_in() -> None:
    policy = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "allow-metrics", "labels": {"team": "platform"}},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    }
    found = named(make(extra(policy)), "allow-metrics")
    assert found["metadata"] == {
        "name": "allow-metrics",
        "namespace": "org-acme",
        "labels": {"team": "platform", **LABELS},
    }
    assert named(make(extra(policy), isolated=True), "allow-metrics")["spec"]["ingress"] == []


@pytest.mark.parametrize(
    "manifest",
    [
        {"kind": "Secret", "metadata": {"name": "s"}},
        {"kind": "RoleBinding", "metadata": {"name": "s"}},
        {"kind": "Namespace", "metadata": {"name": "s"}},
        {"metadata": {"name": "s"}},
        {"kind": "LimitRange"},
        {"kind": "LimitRange", "metadata": {"name": ""}},
        {"kind": "LimitRange", "metadata": {"name": "hotconfig-limits"}},
        {"kind": "ServiceAccount", "metadata": {"name": "default"}},
        {"kind": "LimitRange", "metadata": {"name": "s", "namespace": "kube-system"}},
    ],
)
def test_a_template_adds_only_what_the_permissions_allow(manifest: Manifest) -> None:
    with pytest.raises(TemplateError):
        make(extra(manifest))


def test_a_template_is_checked_when_it_is_made() -> None:
    with pytest.raises(InvalidQuantityError):
        TenantTemplate(default_cpu="half")
    with pytest.raises(TemplateError, match="privileged is no fence"):
        TenantTemplate(pod_security="privileged")
    with pytest.raises(TemplateError, match=r"hotconfig\.dev/tenant"):
        TenantTemplate(labels={"hotconfig.dev/tenant": "x"})


def test_the_status_of_a_quota_is_filled_with_what_was_counted() -> None:
    live = {**copy.deepcopy(dict(make().quota or {})), "status": {"hard": {}, "used": {"requests.cpu": "3"}}}
    assert not in_force(live)
    filled = with_status(live)
    assert in_force(filled)
    assert filled["status"]["used"]["requests.cpu"] == "3"
    assert filled["status"]["used"]["limits.cpu"] == "0"


# drift ------------------------------------------------------------------------------------------------------

EVERYTHING = [*make(TenantTemplate(allow_within=True)).behind_the_gate, make().namespace, make().binding]


def as_served(manifest: Manifest) -> dict[str, Any]:
    """As the server returns it: its own fields added, empty lists left out, no kind in lists."""
    live = copy.deepcopy(dict(manifest))
    live.pop("kind")
    live.pop("apiVersion")
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "creationTimestamp": "…"}
    live["metadata"]["labels"] = {**live["metadata"]["labels"], "kubernetes.io/metadata.name": "org-acme"}
    live["metadata"]["managedFields"] = []
    for name in ("ingress", "egress"):
        if live.get("spec", {}).get(name) == []:
            del live["spec"][name]
    return live


@pytest.mark.parametrize("manifest", EVERYTHING, ids=lambda each: str(each["metadata"]["name"]))
def test_what_the_server_made_of_an_object_is_no_drift(manifest: Manifest) -> None:
    found = compare(manifest, as_served(manifest))
    assert found.same, found.why
    assert compare(manifest, None).weakened is (manifest["kind"] != "RoleBinding")


def test_amounts_written_otherwise_are_no_drift() -> None:
    live = as_served(named(make(), "hotconfig-quota"))
    live["spec"]["hard"] |= {"requests.cpu": "10000m", "limits.memory": "20480Mi"}
    assert compare(named(make(), "hotconfig-quota"), live).same
    limits = as_served(named(make(), "hotconfig-limits"))
    limits["spec"]["limits"][0]["default"]["cpu"] = "0.5"
    assert compare(named(make(), "hotconfig-limits"), limits).same


@pytest.mark.parametrize(
    ("name", "path", "value", "weakens"),
    [
        ("hotconfig-deny-all", ("spec", "ingress"), [{}], True),
        ("hotconfig-deny-all", ("spec", "egress"), [{"to": []}], True),
        ("hotconfig-deny-all", ("spec", "policyTypes"), ["Ingress"], True),
        ("hotconfig-deny-all", ("spec", "podSelector"), {"matchLabels": {"a": "b"}}, True),
        ("hotconfig-allow-dns", ("spec", "egress"), [{}], True),
        ("hotconfig-quota", ("spec", "hard", "requests.cpu"), "99", True),
        ("hotconfig-quota", ("spec", "hard", "requests.cpu"), "9", False),
        ("hotconfig-quota", ("spec", "scopes"), ["BestEffort"], True),
        ("hotconfig-limits", ("spec", "limits"), [], False),
        ("default", ("automountServiceAccountToken",), True, True),
        ("default", ("metadata", "labels", "hotconfig.dev/tenant"), "other", False),
    ],
)
def test_what_was_changed_is_found(name: str, path: tuple[str, ...], value: object, weakens: bool) -> None:
    manifest = named(make(), name)
    live = as_served(manifest)
    inside = live
    for part in path[:-1]:
        inside = inside[part]
    inside[path[-1]] = value
    found = compare(manifest, live)
    assert not found.same
    assert found.weakened is weakens
    assert "99" not in found.why


def test_a_removed_limit_of_a_quota_weakens() -> None:
    live = as_served(named(make(), "hotconfig-quota"))
    del live["spec"]["hard"]["requests.storage"]
    assert compare(named(make(), "hotconfig-quota"), live).weakened


def test_what_others_added_is_left_where_it_cannot_weaken() -> None:
    live = as_served(named(make(), "hotconfig-quota"))
    live["spec"]["hard"]["count/secrets"] = "5"
    live["metadata"]["labels"]["team"] = "x"
    found = compare(named(make(), "hotconfig-quota"), live)
    assert found.same
    assert {"spec.hard[count/secrets]", "metadata.labels[team]"} <= set(found.foreign)
    account = as_served(named(make(), "default")) | {"secrets": [{"name": "s"}]}
    assert compare(named(make(), "default"), account).foreign[-1] == "secrets"
    dns = as_served(named(make(), "hotconfig-allow-dns"))
    dns["spec"]["ingress"] = [{}]  # of no effect without the policy type
    assert compare(named(make(), "hotconfig-allow-dns"), dns).same


def test_another_subject_or_role_is_found() -> None:
    live = as_served(make().binding)
    live["subjects"].append({"kind": "User", "name": "eve"})
    assert compare(make().binding, live).weakened
    live = as_served(make().binding)
    live["subjects"] = []
    assert not compare(make().binding, live).same
    assert compare(make(isolated=True).binding, live).same
    live["roleRef"]["name"] = "cluster-admin"
    assert [each.replace for each in compare(make(isolated=True).binding, live).differences] == [True]


def test_a_weaker_pod_security_is_found_and_audit_labels_are_left() -> None:
    live = as_served(make().namespace)
    live["metadata"]["labels"]["pod-security.kubernetes.io/audit"] = "baseline"
    assert compare(make().namespace, live).same
    live["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged"
    assert compare(make().namespace, live).weakened


def test_a_cordon_is_lifted_only_if_it_is_ours() -> None:
    live = as_served(make().namespace)
    live["metadata"]["labels"][CORDONED] = "true"
    assert compare(make().namespace, live).same, "an operator's own label stays"
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {f"f:{CORDONED}": {}}}}
    live["metadata"]["managedFields"] = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}]
    assert not compare(make().namespace, live).same


def test_a_quota_below_what_is_used_is_told_with_the_figures() -> None:
    live = {"status": {"used": {"requests.cpu": "12", "limits.cpu": "10", "pods": "3"}}}
    assert overused(live, make().quota or {}) == {"requests.cpu": ("12", "10")}


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(EVERYTHING), st.dictionaries(st.text(max_size=4), junk, max_size=3))
def test_unknown_fields_of_newer_servers_are_no_drift(manifest: Manifest, more: dict[str, Any]) -> None:
    live = as_served(manifest)
    assert compare(manifest, {f"x-{key}": value for key, value in more.items()} | live).same


def test_the_identity_is_that_of_the_row() -> None:
    assert str(UID) == ORG
