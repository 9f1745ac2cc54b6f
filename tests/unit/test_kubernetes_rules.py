"""The pure parts of the Kubernetes double: quantities, field sets, patches and the words of RBAC."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotconfig.testing.kubernetes import fields, managed, patches, schema
from hotconfig.testing.kubernetes.managed import Claims, Owner
from hotconfig.testing.kubernetes.quantities import QuantityError, canonical, parse
from hotconfig.testing.kubernetes.rbac import Question, Rule, missing
from hotconfig.testing.kubernetes.resources import CONFIG_MAPS, PODS, QUOTAS, Target
from hotconfig.testing.kubernetes.resources import parse as parse_path
from hotconfig.testing.kubernetes.schema import Map

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine all is slow

NOW = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (1, "1"),
        (0.1, "100m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000Mi", "1000Mi"),
        ("512", "512"),
        ("1e3", "1e3"),
        ("2000k", "2M"),
        ("0Gi", "0"),
        ("-1", "-1"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("100M", "100M"),
        ("+5", "5"),
        (".5Gi", "512Mi"),
    ],
)
def test_a_quantity_has_one_canonical_form(written: object, read: str) -> None:
    assert canonical(written) == read


@pytest.mark.parametrize(
    "written", ["ten", "", "1Kib", "1 Gi", "--1", "1e", "NaN", "inf", True, None, [], "1.2.3", "\uff11"]
)
def test_what_is_no_quantity_is_refused(written: object) -> None:
    with pytest.raises(QuantityError):
        parse(written)


@patient
@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_the_canonical_form_says_the_same_amount(number: int, suffix: str) -> None:
    once = canonical(f"{number}{suffix}")
    assert parse(once).value == parse(f"{number}{suffix}").value
    assert canonical(once) == once


names = st.text("abc", min_size=1, max_size=3)
maps = st.dictionaries(names, st.integers(0, 3), min_size=1, max_size=4)
trees = st.dictionaries(names, maps, min_size=1, max_size=4)
OPEN = schema.ANY


@patient
@given(trees)
def test_a_set_of_fields_survives_being_written_down(tree: dict[str, Any]) -> None:
    for found in (fields.leaves(OPEN, tree), fields.compare(OPEN, {}, tree).changed):
        assert fields.decode(fields.encode(found)) == found


@patient
@given(trees, trees)
def test_whoever_applies_last_with_force_has_what_he_states(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, two = Owner("Apply", "one", "v1"), Owner("Apply", "two", "v1")
    state = managed.apply(OPEN, {}, first, {}, one, force=True, time=NOW)
    state = managed.apply(OPEN, state.value, second, state.claims, two, force=True, time=NOW)
    assert fields.merge(OPEN, state.value, second) == state.value
    assert state.claims[two].fields == fields.leaves(OPEN, second)


@patient
@given(trees)
def test_an_apply_that_states_nothing_removes_all_that_was_applied(tree: dict[str, Any]) -> None:
    owner = Owner("Apply", "one", "v1")
    state = managed.apply(OPEN, {}, tree, {}, owner, force=False, time=NOW)
    gone = managed.apply(OPEN, state.value, {}, state.claims, owner, force=False, time=NOW)
    assert fields.leaves(OPEN, gone.value) & fields.leaves(OPEN, tree) == set()


@patient
@given(trees, trees)
def test_an_update_owns_what_it_changed_and_nobody_owns_what_is_gone(old: dict[str, Any], new: dict[str, Any]) -> None:
    first, second = Owner("Update", "one", "v1"), Owner("Update", "two", "v1")
    claims: Claims = managed.update(OPEN, {}, old, {}, first, time=NOW)
    after = managed.update(OPEN, old, new, claims, second, time=NOW)
    difference = fields.compare(OPEN, old, new)
    owned = frozenset[fields.Path]().union(*(claim.fields for claim in after.values()))
    assert not owned & difference.removed
    if difference.changed:
        assert difference.changed <= after[second].fields
        assert not after[first].fields & difference.changed


@patient
@given(trees, trees)
def test_a_merge_patch_leads_from_any_object_to_any_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert patches.merge_patch(old, _difference(old, new)) == new


def _difference(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    return gone | {key: _difference(old.get(key), each) for key, each in new.items() if old.get(key) != each}


def test_containers_merge_by_name_in_a_strategic_merge() -> None:
    shape = schema.of(PODS)
    pod = {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}
    patch = {"spec": {"containers": [{"name": "b", "image": "2"}, {"name": "a", "$patch": "delete"}]}}
    assert patches.strategic_merge(shape, pod, patch) == {"spec": {"containers": [{"name": "b", "image": "2"}]}}


def test_fields_that_no_schema_has_are_named_with_their_path() -> None:
    body = {"spec": {"hard": {"any": 1}, "nope": 1}, "other": {}}
    assert list(schema.unknown_fields(schema.of(QUOTAS), body)) == ["spec.nope", "other"]


def test_empty_maps_and_nulls_do_not_come_back() -> None:
    body = {"metadata": {"labels": {}, "name": "x"}, "data": {"a": None}, "unknown": 1}
    assert schema.normal(schema.of(CONFIG_MAPS), body) == {"metadata": {"name": "x"}}
    assert schema.normal(Map(), {"a": "1"}) == {"a": "1"}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/namespaces", ("namespaces", "", "", "")),
        ("/api/v1/namespaces/a", ("namespaces", "a", "a", "")),
        ("/api/v1/namespaces/a/status", ("namespaces", "a", "a", "status")),
        ("/api/v1/namespaces/a/pods", ("pods", "a", "", "")),
        ("/api/v1/namespaces/a/resourcequotas/q/status", ("resourcequotas", "a", "q", "status")),
        ("/api/v1/pods", ("pods", "", "", "")),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa", ("clusterroles", "", "system:a", "")),
    ],
)
def test_what_a_path_names(path: str, target: tuple[str, ...]) -> None:
    found = parse_path(path)
    assert isinstance(found, Target)
    assert (found.resource.plural, found.namespace, found.name, found.subresource) == target


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v2/pods", "/api/v1/pods/x", "/api/v1/namespaces/a/pods/p/x/y", "/x/y"]
)
def test_what_names_nothing(path: str) -> None:
    assert parse_path(path) is None


def test_a_rule_limited_to_names_covers_only_them() -> None:
    rule = Rule(("bind",), ("g",), ("clusterroles",), ("admin",))
    assert rule.allows(Question("bind", "g", "clusterroles", name="admin"))
    assert not rule.allows(Question("bind", "g", "clusterroles", name="cluster-admin"))
    assert not rule.allows(Question("get", "g", "clusterroles", name="admin"))


def test_a_subresource_is_not_covered_by_its_resource() -> None:
    assert not Rule(("update",), ("",), ("pods",)).allows(Question("update", "", "pods", "status"))
    assert Rule(("update",), ("",), ("*/status",)).allows(Question("update", "", "pods", "status"))


def test_what_is_missing_is_told_by_group_and_resource() -> None:
    held = [Rule(("get",), ("",), ("pods", "secrets"))]
    lacking = missing(held, [Rule(("get", "list"), ("",), ("pods",)), Rule(("get",), ("",), ("secrets",))])
    assert [str(rule) for rule in lacking] == ['{APIGroups:[""], Resources:["pods"], Verbs:["list"]}']
