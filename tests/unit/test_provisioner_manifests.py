"""The manifests for a cluster: what they grant, and above all what they do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lightkube import codecs

from hotconfig.provisioner.manifests import (
    PROVISIONER,
    PURGER,
    as_yaml,
    doctor_rules,
    manifests,
    provisioner_rules,
    purger_rules,
    tenant_admin_rules,
)
from hotconfig.provisioner.template import Manifest

EVERYTHING = manifests()


def granted(rules: list[Manifest]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def of_kind(kind: str) -> dict[str, Any]:
    return {each["metadata"]["name"]: each for each in EVERYTHING if each["kind"] == kind}


def test_they_are_objects_that_a_typed_client_understands() -> None:
    """Every field is one of the API's, as `kubectl apply --dry-run` with validation would have it."""
    for document in yaml.safe_load_all(as_yaml(EVERYTHING)):
        made: Any = codecs.from_dict(document)
        assert made.to_dict() == document


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize(
    "wrong",
    [
        deployment(replicas="two", selector={}, template={}),
        deployment(replicas=2, template={}),
        deployment(replicas=2, selector={}, template={}, image="x"),
    ],
    ids=["a type", "a field that is missing", "a field that there is not"],
)
def test_a_wrong_object_would_be_noticed(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, AssertionError)):  # noqa: PT012 - either of them
        made: Any = codecs.from_dict(wrong)
        assert made.to_dict() == wrong


def test_yaml_says_what_the_objects_say() -> None:
    assert list(yaml.safe_load_all(as_yaml(EVERYTHING))) == list(EVERYTHING)


# Line breaks of Unicode's own and what does not print are in no manifest.
letters = st.characters(categories=("L", "N", "P", "S"), include_characters=" ")
texts = st.text(letters, max_size=8) | st.sampled_from(
    ["yes", "No", "~", "1e3", "0x1", "- a", "a: b", "# c", "1.5", "null", "="]
)
values = st.recursive(
    st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(texts, values, min_size=1, max_size=3))
def test_any_object_is_written_as_it_is(value: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml([value])) == value


def test_every_object_is_named_once_and_namespaced_where_it_has_to_be() -> None:
    keys = [(each["kind"], each["metadata"]["name"]) for each in EVERYTHING]
    assert len(set(keys)) == len(keys)
    for each in EVERYTHING:
        namespaced = each["kind"] in {"ServiceAccount", "Secret", "Deployment"}
        assert ("namespace" in each["metadata"]) is namespaced
    assert EVERYTHING[0]["kind"] == "Namespace"


@pytest.mark.parametrize(
    "rules", [provisioner_rules("tenant-admin"), doctor_rules(), purger_rules(), tenant_admin_rules()]
)
def test_nobody_may_everything_or_become_somebody_else(rules: list[Manifest]) -> None:
    for group, resource, verb in granted(rules):
        assert "*" not in {group, resource, verb}
        assert verb not in {"escalate", "impersonate", "approve", "sign"}


def test_the_provisioner_has_exactly_what_it_needs() -> None:
    write = {"create", "get", "list", "patch", "update"}
    expected = {("", "namespaces", verb) for verb in ("create", "get", "list", "patch")}
    expected |= {("", each, verb) for each in ("resourcequotas", "limitranges", "serviceaccounts") for verb in write}
    expected |= {("networking.k8s.io", "networkpolicies", verb) for verb in write}
    expected |= {("rbac.authorization.k8s.io", "rolebindings", verb) for verb in write}
    expected |= {("", "resourcequotas/status", "update"), ("rbac.authorization.k8s.io", "clusterroles", "bind")}
    assert granted(provisioner_rules("tenant-admin")) == expected


def test_the_doctor_reads_the_policies_by_name_and_nothing_else() -> None:
    (rule,) = doctor_rules()
    assert rule["verbs"] == ["get"]
    assert set(rule["resourceNames"]) == set(of_kind("ValidatingAdmissionPolicy"))
    role = of_kind("ClusterRole")[PROVISIONER]["rules"]
    assert role == [*provisioner_rules("tenant-admin"), rule]


def test_it_binds_one_role_by_name() -> None:
    (bind,) = [rule for rule in provisioner_rules("mine") if "bind" in rule["verbs"]]
    assert bind["resourceNames"] == ["mine"]


def test_deleting_is_another_identity_which_does_nothing_else() -> None:
    assert not {verb for _, _, verb in granted(provisioner_rules("x"))} & {"delete", "deletecollection"}
    assert {verb for _, _, verb in granted(purger_rules())} == {"delete"}
    bindings = of_kind("ClusterRoleBinding")
    assert {name: each["subjects"][0]["name"] for name, each in bindings.items()} == {
        PROVISIONER: PROVISIONER,
        PURGER: PURGER,
    }


def test_a_tenants_administrators_cannot_touch_their_fences() -> None:
    writing = {
        (group, name) for group, name, verb in granted(tenant_admin_rules()) if verb not in {"get", "list", "watch"}
    }
    fences = {
        ("networking.k8s.io", "networkpolicies"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("rbac.authorization.k8s.io", "roles"),
        ("", "resourcequotas"),
        ("", "limitranges"),
        ("", "namespaces"),
        ("", "serviceaccounts/token"),
    }
    assert not writing & fences
    assert ("apps", "deployments") in writing


def rules_of(policy: Any) -> Iterator[tuple[str, str, str]]:
    for rule in policy["spec"]["matchConstraints"]["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for operation in rule["operations"]:
                    yield group, resource, operation


def test_each_policy_is_bound_denies_and_fails_closed() -> None:
    found, bindings = of_kind("ValidatingAdmissionPolicy"), of_kind("ValidatingAdmissionPolicyBinding")
    assert set(found) == {"hotconfig-fence", "hotconfig-guard", "hotconfig-cordon"}
    assert {each["spec"]["policyName"] for each in bindings.values()} == set(found)
    assert all(each["spec"]["validationActions"] == ["Deny"] for each in bindings.values())
    for each in found.values():
        assert each["spec"]["failurePolicy"] == "Fail"
        for validation in each["spec"]["validations"]:
            assert validation["message"]
            text = validation["expression"]
            assert text.count("(") == text.count(")")
            assert text.count("'") % 2 == 0


def test_the_fence_covers_everything_that_the_identities_may_write() -> None:
    fenced = set(rules_of(of_kind("ValidatingAdmissionPolicy")["hotconfig-fence"]))
    operation = {"create": "CREATE", "patch": "UPDATE", "update": "UPDATE", "delete": "DELETE"}
    for group, resource, verb in granted(provisioner_rules("x")) | granted(purger_rules()):
        if verb in operation:
            assert (group, resource, operation[verb]) in fenced
    (condition,) = of_kind("ValidatingAdmissionPolicy")["hotconfig-fence"]["spec"]["matchConditions"]
    for name in (PROVISIONER, PURGER):
        assert f"'system:serviceaccount:hotconfig-system:{name}'" in condition["expression"]


def test_a_cordon_applies_to_labelled_namespaces_alone() -> None:
    constraints = of_kind("ValidatingAdmissionPolicy")["hotconfig-cordon"]["spec"]["matchConstraints"]
    assert constraints["namespaceSelector"] == {"matchLabels": {"hotconfig.dev/cordoned": "true"}}


def test_the_reconciler_itself_is_restricted() -> None:
    (deployment,) = of_kind("Deployment").values()
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert {"requests", "limits"} <= container["resources"].keys()
    assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_names_and_images_are_the_callers() -> None:
    mine = manifests(namespace="platform", cluster_role="mine", image="registry.example/x:1", replicas=3)
    text = as_yaml(mine)
    assert "hotconfig-system" not in text
    assert "registry.example/x:1" in text
