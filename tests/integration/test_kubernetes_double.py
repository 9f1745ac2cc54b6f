"""The Kubernetes double beyond the recording: what the provisioner's tests lean on."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from hotconfig.testing.kubernetes import PROVISIONER_RULES, KubernetesDouble, Response, Rule, User
from hotconfig.testing.kubernetes.requests import APPLY, JSON_PATCH, MERGE, STRATEGIC
from tests.support.waiting import Eventually

Json = dict[str, Any]

NAMESPACES = "/api/v1/namespaces"
ACME = f"{NAMESPACES}/org-acme"
QUOTAS = f"{ACME}/resourcequotas"
QUOTA = f"{QUOTAS}/quota"
PODS = f"{ACME}/pods"
CONFIG_MAP = f"{ACME}/configmaps/map"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"


def namespace(name: str, **labels: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def quota(**hard: str) -> Json:
    named = {key.replace("_", "."): amount for key, amount in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": named}}


def pod(name: str, **sizes: str) -> Json:
    resources = {"requests": sizes, "limits": sizes} if sizes else {}
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x", "resources": resources}]}}


def binding(name: str, role: str, group: str = "org:acme:admin") -> Json:
    return {
        "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "Group", "name": group}],
    }


def config_map(**data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": data}


def apply(double: KubernetesDouble, path: str, body: Json, *, manager: str, force: bool = False) -> Response:
    target = f"{path}?fieldManager={manager}{'&force=true' if force else ''}"
    return double.request("PATCH", target, body, content_type=APPLY)


def hard_of(double: KubernetesDouble) -> Json:
    found = double.get(QUOTA)
    assert found is not None
    hard: Json = found["status"].get("hard", {})
    return hard


def message(response: Response) -> str:
    return str(response.body["message"])


@pytest.fixture
def double(kubernetes_double: KubernetesDouble, eventually: Eventually) -> KubernetesDouble:
    """With the namespace org-acme and its service account."""
    assert kubernetes_double.request("POST", NAMESPACES, namespace("org-acme")).code == 201
    eventually(lambda: kubernetes_double.get(f"{ACME}/serviceaccounts/default"), timeout_s=30)
    return kubernetes_double


@contextmanager
def connected(double: KubernetesDouble, user: str = "admin") -> Generator[Any]:
    """A function that asks over HTTPS, on one connection."""
    context = ssl.create_default_context(cadata=double.authority_pem.decode())
    split = urlsplit(double.url)
    connection = http.client.HTTPSConnection(split.hostname or "", split.port, context=context, timeout=30)

    def ask(method: str, path: str, body: object = None) -> tuple[int, Any, http.client.HTTPResponse]:
        headers = {"Authorization": f"Bearer {double.token(user)}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response

    try:
        yield ask
    finally:
        connection.close()


# Who may what


def test_the_provisioner_binds_tenants_but_never_itself_to_more(double: KubernetesDouble) -> None:
    bindings = BINDINGS.format("org-acme")
    assert double.request("POST", bindings, binding("a", "tenant-admin"), user="provisioner").code == 201
    for role in ("admin", "cluster-admin"):
        refused = double.request("POST", bindings, binding("b", role), user="provisioner")
        assert refused.code == 403
        assert "attempting to grant RBAC permissions not currently held" in message(refused)


def test_without_the_verb_bind_the_provisioner_binds_nothing_it_does_not_hold() -> None:
    rules = (Rule(("create",), ("rbac.authorization.k8s.io",), ("rolebindings",)),)
    with KubernetesDouble(provisioner_rules=rules) as double:
        for name in ("kube-system", "default"):
            asked = double.request("POST", BINDINGS.format(name), binding("me", "admin"), user="provisioner")
            assert asked.code == 403


def test_with_bind_everywhere_the_provisioner_could_bind_itself_in_kube_system(double: KubernetesDouble) -> None:
    """The fact behind the admission policy that the provisioner ships; the double does not evaluate policies."""
    may_bind = Rule(("bind",), ("rbac.authorization.k8s.io",), ("clusterroles",), ("admin",))
    double.grant("provisioner", *PROVISIONER_RULES, may_bind)
    mine = binding("me", "admin", group="system:serviceaccounts")
    assert double.request("POST", BINDINGS.format("kube-system"), mine, user="provisioner").code == 201
    assert double.request("GET", f"{NAMESPACES}/kube-system/secrets", user="provisioner").code == 200


def test_a_binding_lets_in_and_its_removal_shuts_out(double: KubernetesDouble) -> None:
    assert double.request("GET", PODS, user="tenant-admin").code == 403
    double.request("POST", BINDINGS.format("org-acme"), binding("a", "admin"))
    assert double.request("GET", PODS, user="tenant-admin").code == 200
    assert double.request("GET", f"{NAMESPACES}/default/pods", user="tenant-admin").code == 403
    double.request("DELETE", f"{BINDINGS.format('org-acme')}/a")
    assert double.request("GET", PODS, user="tenant-admin").code == 403


def test_impersonation_needs_the_right_to_it(double: KubernetesDouble) -> None:
    headers = {"impersonate-user": "alice@acme.example", "impersonate-group": "org:acme:admin"}
    double.request("POST", BINDINGS.format("org-acme"), binding("a", "view"))
    assert _as(double, "provisioner", headers) == 403
    double.add_user("prober", User("prober"))
    double.grant("prober", Rule(("impersonate",), ("",), ("users", "groups")))
    assert _as(double, "prober", headers) == 200
    assert _as(double, "prober", headers | {"impersonate-group": "org:other:admin"}) == 403


def _as(double: KubernetesDouble, user: str, headers: dict[str, str]) -> int:
    context = ssl.create_default_context(cadata=double.authority_pem.decode())
    split = urlsplit(double.url)
    connection = http.client.HTTPSConnection(split.hostname or "", split.port, context=context, timeout=30)
    connection.request("GET", PODS, headers=headers | {"Authorization": f"Bearer {double.token(user)}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_access_reviews_answer_for_the_asker(double: KubernetesDouble) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    def may(user: str, verb: str) -> bool:
        asked = {"verb": verb, "resource": "namespaces"}
        answer = double.request("POST", path, {"spec": {"resourceAttributes": asked}}, user=user)
        assert answer.code == 201
        return bool(answer.body["status"]["allowed"])

    assert may("provisioner", "create")
    assert not may("provisioner", "delete")
    assert not may("tenant-admin", "create")


# Names, versions, owners


def test_of_eight_who_claim_a_name_one_gets_it(double: KubernetesDouble) -> None:
    def claim(_: int) -> int:
        with connected(double, "provisioner") as ask:
            return int(ask("POST", NAMESPACES, namespace("org-raced"))[0])

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(claim, range(8)))
    assert sorted(codes) == [201] + [409] * 7


def test_with_apply_all_of_them_think_they_got_it(double: KubernetesDouble) -> None:
    path = f"{NAMESPACES}/org-raced"
    codes = [apply(double, path, namespace("org-raced"), manager="m", force=True).code for _ in range(8)]
    assert codes == [201] + [200] * 7


def test_an_apply_that_no_longer_states_a_field_removes_it(double: KubernetesDouble) -> None:
    apply(double, CONFIG_MAP, config_map(a="1", b="2"), manager="one")
    apply(double, CONFIG_MAP, config_map(b="2"), manager="two")
    found = apply(double, CONFIG_MAP, config_map(a="1"), manager="one").body
    assert found["data"] == {"a": "1", "b": "2"}, "b is still owned by two"
    found = apply(double, CONFIG_MAP, {**config_map(), "data": {}}, manager="two").body
    assert found["data"] == {"a": "1"}


def test_an_apply_leaves_foreign_keys_alone(double: KubernetesDouble) -> None:
    double.request("POST", QUOTAS, quota(requests_cpu="10", pods="5"))
    found = apply(double, QUOTA, quota(requests_cpu="10"), manager="m").body
    assert found["spec"]["hard"] == {"requests.cpu": "10", "pods": "5"}


def test_a_label_set_by_a_post_under_another_manager_stays_when_apply_drops_it(double: KubernetesDouble) -> None:
    body = config_map(a="1") | {"metadata": {"name": "map", "labels": {"was": "here"}}}
    double.request("POST", f"{ACME}/configmaps?fieldManager=claim", body)
    apply(double, CONFIG_MAP, body, manager="m")
    found = apply(double, CONFIG_MAP, config_map(a="1"), manager="m").body
    assert found["metadata"]["labels"] == {"was": "here"}


def test_a_stale_version_is_a_conflict_by_every_verb(double: KubernetesDouble) -> None:
    body = double.request("POST", f"{ACME}/configmaps", config_map(a="1")).body
    stale = body["metadata"]["resourceVersion"]
    double.request("PATCH", CONFIG_MAP, {"data": {"a": "2"}}, content_type=MERGE)
    answers = [
        double.request("PUT", CONFIG_MAP, body | {"data": {"a": "3"}}),
        double.request("PATCH", CONFIG_MAP, {"metadata": {"resourceVersion": stale}}, content_type=MERGE),
        double.request("DELETE", CONFIG_MAP, {"preconditions": {"resourceVersion": stale}}),
    ]
    assert [answer.code for answer in answers] == [409, 409, 409]
    assert (double.get(CONFIG_MAP) or {})["data"] == {"a": "2"}


def test_a_status_is_applied_on_its_own_and_by_its_own_owner(double: KubernetesDouble) -> None:
    double.pace.is_running = False
    double.request("POST", QUOTAS, quota(pods="1"))
    status = {"hard": {"pods": "1"}, "used": {"pods": "0"}}
    found = apply(double, f"{QUOTA}/status", quota(pods="5") | {"status": status}, manager="m")
    assert (found.code, found.body["spec"], found.body["status"]) == (200, {"hard": {"pods": "1"}}, status)
    (entry,) = (each for each in found.body["metadata"]["managedFields"] if each["manager"] == "m")
    assert (entry["operation"], entry["subresource"], list(entry["fieldsV1"])) == ("Apply", "status", ["f:status"])
    assert apply(double, f"{QUOTAS}/none/status", {**quota(), "metadata": {"name": "none"}}, manager="m").code == 404


def test_a_dry_run_says_what_would_be_and_changes_nothing(double: KubernetesDouble) -> None:
    before = double.request("GET", f"{ACME}/configmaps").body["metadata"]["resourceVersion"]
    found = double.request("POST", f"{ACME}/configmaps?dryRun=All", config_map(a="1"))
    assert (found.code, "resourceVersion" in found.body["metadata"]) == (201, False)
    assert double.get(CONFIG_MAP) is None
    assert double.request("GET", f"{ACME}/configmaps").body["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        (MERGE, {"data": {"a": None, "b": "2"}}),
        (STRATEGIC, {"data": {"a": None, "b": "2"}}),
        (JSON_PATCH, [{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/b", "value": "2"}]),
    ],
)
def test_every_kind_of_patch_adds_and_removes(double: KubernetesDouble, content_type: str, patch: object) -> None:
    double.request("POST", f"{ACME}/configmaps", config_map(a="1"))
    found = double.request("PATCH", CONFIG_MAP, patch, content_type=content_type)
    assert (found.code, found.body["data"]) == (200, {"b": "2"})


def test_quantities_come_back_in_their_canonical_form(double: KubernetesDouble) -> None:
    found = double.request("POST", QUOTAS, quota(requests_cpu="1000m", requests_memory="1024Mi"))
    assert found.body["spec"]["hard"] == {"requests.cpu": "1", "requests.memory": "1Gi"}


def test_a_body_of_no_shape_at_all_is_an_answer_and_not_the_end(double: KubernetesDouble) -> None:
    labelled = {"metadata": {"name": "x", "labels": {"a": 1}}}
    bodies: list[object] = [[], 1, {"metadata": [1]}, {"metadata": {"name": 1}}, {"kind": []}, labelled]
    codes = [double.request("POST", NAMESPACES, body).code for body in bodies]
    assert codes == [400, 400, 400, 400, 400, 400]
    assert double.get(ACME) is not None


def test_admission_policies_are_kept_as_they_were_sent(double: KubernetesDouble) -> None:
    group = "/apis/admissionregistration.k8s.io/v1"
    spec = {"validations": [{"expression": "false"}], "failurePolicy": "Fail"}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "fence"},
        "spec": spec,
    }
    double.apply(policy)
    assert (double.get(f"{group}/validatingadmissionpolicies/fence") or {})["spec"] == spec


# Quotas and pods


def test_a_quota_does_not_enforce_until_its_status_is_filled(double: KubernetesDouble, eventually: Eventually) -> None:
    double.pace.is_running = False
    double.request("POST", QUOTAS, quota(requests_cpu="10", limits_cpu="10"))
    assert double.request("POST", PODS, pod("huge", cpu="500")).code == 201
    double.pace.is_running = True
    eventually(lambda: hard_of(double), timeout_s=30)
    refused = double.request("POST", PODS, pod("small", cpu="1"))
    assert refused.code == 403
    assert "exceeded quota: quota, requested: limits.cpu=1,requests.cpu=1, used: limits.cpu=500" in message(refused)


def test_writing_the_status_closes_the_gap_without_a_controller(double: KubernetesDouble) -> None:
    double.pace.is_running = False
    made = double.request("POST", QUOTAS, quota(pods="1")).body
    filled = made | {"status": {"hard": {"pods": "1"}, "used": {"pods": "0"}}}
    assert double.request("PUT", f"{QUOTA}/status", filled, user="provisioner").code == 200
    assert [double.request("POST", PODS, pod(name)).code for name in ("a", "b")] == [201, 403]


def test_a_deleted_pod_is_given_back_to_the_quota(double: KubernetesDouble, eventually: Eventually) -> None:
    double.request("POST", QUOTAS, quota(pods="1"))
    eventually(lambda: hard_of(double), timeout_s=30)
    double.request("POST", PODS, pod("a"))
    assert double.request("POST", PODS, pod("b")).code == 403
    double.request("DELETE", f"{PODS}/a")
    eventually(lambda: double.request("POST", PODS, pod("b")).code == 201, timeout_s=30)


def test_a_pod_without_sizes_is_refused_by_a_quota_and_let_in_by_limits(
    double: KubernetesDouble, eventually: Eventually
) -> None:
    double.request("POST", QUOTAS, quota(limits_cpu="10"))
    eventually(lambda: hard_of(double), timeout_s=30)
    refused = double.request("POST", PODS, pod("a"))
    assert message(refused).endswith("failed quota: quota: must specify limits.cpu for: c")
    limits = {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}}
    double.request("POST", f"{ACME}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [limits]}})
    assert double.request("POST", PODS, pod("a")).code == 201


def test_a_privileged_pod_is_refused_where_pod_security_is_on(double: KubernetesDouble) -> None:
    body = pod("a")
    body["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert double.request("POST", f"{PODS}?dryRun=All", body).code == 201
    double.apply(namespace("org-acme", **{"pod-security.kubernetes.io/enforce": "restricted"}))
    refused = double.request("POST", f"{PODS}?dryRun=All", body)
    assert refused.code == 403
    assert 'privileged (container "c" must not set securityContext.privileged=true)' in message(refused)


# The end of a namespace


def test_nothing_new_comes_into_a_namespace_that_ends(double: KubernetesDouble, eventually: Eventually) -> None:
    double.pace.termination_s = 3600
    double.request("POST", f"{ACME}/configmaps", config_map(a="1"))
    assert double.request("DELETE", ACME).body["status"]["phase"] == "Terminating"
    refused = apply(double, QUOTA, quota(pods="1"), manager="m")
    assert refused.code == 403
    assert message(refused) == (
        'resourcequotas "quota" is forbidden: unable to create new content in namespace org-acme because it is being '
        "terminated"
    )
    assert refused.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert double.request("POST", NAMESPACES, namespace("org-acme")).code == 409


def test_a_namespace_takes_all_it_holds_with_it(double: KubernetesDouble, eventually: Eventually) -> None:
    double.request("POST", f"{ACME}/configmaps", config_map(a="1"))
    double.request("DELETE", ACME)
    eventually(lambda: double.get(ACME) is None, timeout_s=30)
    assert double.request("POST", NAMESPACES, namespace("org-acme")).code == 201
    assert double.get(CONFIG_MAP) is None


def test_without_a_controller_manager_a_namespace_ends_never(double: KubernetesDouble, eventually: Eventually) -> None:
    double.pace.is_running = False
    double.request("DELETE", ACME)
    assert double.request("POST", NAMESPACES, namespace("org-other")).code == 201
    assert double.get(f"{NAMESPACES}/org-other/serviceaccounts/default") is None
    assert double.get(ACME) is not None
    double.pace.is_running = True
    eventually(lambda: double.get(ACME) is None, timeout_s=30)
    eventually(lambda: double.get(f"{NAMESPACES}/org-other/serviceaccounts/default"), timeout_s=30)


# Lists and watches


def test_pages_hold_every_object_once(double: KubernetesDouble) -> None:
    for number in range(7):
        body = config_map(a="1") | {"metadata": {"name": f"map-{number}", "labels": {"mine": "yes"}}}
        double.request("POST", f"{ACME}/configmaps", body)
    names: list[str] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = double.request("GET", f"/api/v1/configmaps?labelSelector=mine%3Dyes&limit=3&continue={token}").body
        names += [item["metadata"]["name"] for item in page["items"]]
        token, pages = page["metadata"].get("continue", ""), pages + 1
    assert (names, pages) == ([f"map-{number}" for number in range(7)], 3)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("tier=a", ["one"]),
        ("tier!=a", ["three", "two"]),
        ("tier in (a,b)", ["one", "two"]),
        ("tier notin (a)", ["three", "two"]),
        ("tier", ["one", "two"]),
        ("!tier", ["three"]),
        ("tier=b,zone=z", ["two"]),
    ],
)
def test_label_selectors(double: KubernetesDouble, selector: str, names: list[str]) -> None:
    for name, labels in (("one", {"tier": "a"}), ("two", {"tier": "b", "zone": "z"}), ("three", {"of": "three"})):
        double.request("POST", f"{ACME}/configmaps", {"metadata": {"name": name, "labels": labels | {"set": "t"}}})
    found = double.request("GET", f"{ACME}/configmaps?labelSelector={quote('set=t,' + selector)}").body
    assert [item["metadata"]["name"] for item in found["items"]] == names


def test_a_watch_is_told_what_comes_changes_and_goes(double: KubernetesDouble) -> None:
    context = ssl.create_default_context(cadata=double.authority_pem.decode())
    split = urlsplit(double.url)
    connection = http.client.HTTPSConnection(split.hostname or "", split.port, context=context, timeout=30)
    version = double.request("GET", f"{ACME}/configmaps").body["metadata"]["resourceVersion"]
    target = f"{ACME}/configmaps?watch=true&resourceVersion={version}&timeoutSeconds=30"
    connection.request("GET", target, headers={"Authorization": f"Bearer {double.token('admin')}"})
    response = connection.getresponse()
    double.request("POST", f"{ACME}/configmaps", config_map(a="1"))
    double.request("PATCH", CONFIG_MAP, {"data": {"a": "2"}}, content_type=MERGE)
    double.request("DELETE", CONFIG_MAP)
    events = [json.loads(response.readline()) for _ in range(3)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[1]["object"]["data"] == {"a": "2"}
    connection.close()


# What goes wrong on purpose


def test_a_refusal_carries_its_retry_after_and_passes(double: KubernetesDouble) -> None:
    double.faults.refuse(429, retry_after_s=1, method="GET", path="/org-acme$")
    with connected(double) as ask:
        status, body, response = ask("GET", ACME)
        assert (status, response.headers["Retry-After"], body["reason"]) == (429, "1", "TooManyRequests")
        assert ask("GET", ACME)[0] == 200


def test_a_reset_before_the_call_leaves_nothing_done_and_one_after_it_does(double: KubernetesDouble) -> None:
    double.faults.reset(method="POST", path="/namespaces$", times=1)
    double.faults.reset(after=True, method="POST", path="/namespaces$", skip=1)
    for name, done in (("org-before", False), ("org-after", True)):
        with connected(double) as ask, pytest.raises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
            ask("POST", NAMESPACES, namespace(name))
        assert (double.get(f"{NAMESPACES}/{name}") is not None) is done
    assert [call.code for call in double.log.calls(method="POST")] == [0, 0]


def test_a_stopped_server_refuses_and_comes_back_with_all_it_had(double: KubernetesDouble) -> None:
    with connected(double) as ask:
        assert ask("GET", ACME)[0] == 200
        double.stop()
        with pytest.raises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
            ask("GET", ACME)
    with connected(double) as ask, pytest.raises(ConnectionRefusedError):
        ask("GET", ACME)
    double.start()
    with connected(double) as ask:
        assert ask("GET", ACME)[0] == 200


def test_what_the_controllers_had_begun_before_a_stop_they_finish_after_it(
    double: KubernetesDouble, eventually: Eventually
) -> None:
    double.pace.quota_s = 3600
    double.request("POST", QUOTAS, quota(pods="1"))
    double.stop()
    double.pace.quota_s = 0.01
    double.start()
    eventually(lambda: hard_of(double), timeout_s=30)


def test_slowness_is_of_one_call_and_latency_of_all(double: KubernetesDouble) -> None:
    double.faults.slow(0.2, path="/org-acme$")
    double.faults.latency_s = 0.05
    with connected(double) as ask:
        for _ in range(2):
            began = time.monotonic()
            ask("GET", ACME)
            assert time.monotonic() - began >= 0.05
    took = [call.ended - call.began for call in double.log.calls(path="/org-acme$")]
    assert took[0] >= 0.25 - 0.01  # the loop's clock and time.monotonic() differ by a tick
    assert took[1] >= 0.05 - 0.01


def test_the_log_tells_who_asked_what_and_how_many_waited_for_one_another(double: KubernetesDouble) -> None:
    double.faults.latency_s = 0.3
    ready = threading.Barrier(4)

    def ask_once(_: int) -> None:
        with connected(double, "provisioner") as ask:
            ready.wait(30)
            ask("GET", f"{ACME}?pretty=false")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask_once, range(4)))
    side_by_side = double.log.rounds()
    with connected(double, "nobody") as ask:
        ask("GET", ACME)
    told = [(call.user, call.query, call.code) for call in double.log.calls(path="/org-acme$")]
    assert told == [("provisioner", "pretty=false", 200)] * 4 + [("nobody", "", 401)]
    assert side_by_side < 4
    assert double.log.rounds() == side_by_side + 1


# The client that the provisioner uses


@pytest.mark.parametrize("clients", [1, 16])
def test_lightkube_creates_applies_patches_lists_and_deletes(
    kubernetes_double: KubernetesDouble, tmp_path: Path, clients: int
) -> None:
    from lightkube import Client, KubeConfig
    from lightkube.core.exceptions import ApiError
    from lightkube.models.core_v1 import ResourceQuotaSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace, ResourceQuota
    from lightkube.types import PatchType

    kubernetes_double.pace.is_running = False
    config = KubeConfig.from_file(kubernetes_double.kubeconfig(tmp_path, user="admin"))

    def life(number: int) -> None:
        name = f"org-{number}"
        with closing(Client(config=config, field_manager="hotconfig-provisioner", http2=False)) as client:
            client.create(Namespace(metadata=ObjectMeta(name=name)))
            with pytest.raises(ApiError) as raised:
                client.create(Namespace(metadata=ObjectMeta(name=name)))
            assert raised.value.status.reason == "AlreadyExists"
            meta = ObjectMeta(name="quota", namespace=name, labels={"app": "x"})
            wanted = ResourceQuota(metadata=meta, spec=ResourceQuotaSpec(hard={"requests.cpu": "10"}))
            assert client.apply(wanted, force=True).metadata == client.apply(wanted, force=True).metadata
            patch = {"spec": {"hard": {"requests.cpu": "20"}}}
            client.patch(ResourceQuota, "quota", patch, namespace=name, patch_type=PatchType.MERGE)
            (found,) = client.list(ResourceQuota, namespace=name, labels={"app": "x"})
            assert found.spec is not None
            assert found.spec.hard == {"requests.cpu": "20"}
            client.delete(ResourceQuota, "quota", namespace=name)
            assert list(client.list(ResourceQuota, namespace=name)) == []

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(life, range(clients)))
    assert {call.code for call in kubernetes_double.log.calls()} == {200, 201, 409}


def test_an_apply_with_the_uid_of_what_is_gone_conflicts(double: KubernetesDouble) -> None:
    path, metadata = "/api/v1/namespaces/org-gone", {"name": "org-gone", "uid": "gone"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    answer = double.request("PATCH", f"{path}?fieldManager=one", body, content_type=APPLY)
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    assert answer.body["message"].endswith("specified uid gone, and no existing object was found")
    assert double.get(path) is None
