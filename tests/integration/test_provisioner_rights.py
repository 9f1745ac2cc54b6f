"""What the manifests grant and what a tenant's life takes: nothing is missing, and what is spare is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from hotconfig.provisioner import Adoption, CreateOrganization, Provisioner
from hotconfig.provisioner.errors import KubernetesDeniedError, NamespaceConflictError
from hotconfig.provisioner.manifests import provisioner_rules
from hotconfig.provisioner.template import TENANT_ADMIN
from hotconfig.testing.kubernetes import Call, KubernetesDouble, Rule
from tests.support.provisioners import ACME, LARGER, NETWORK, Site, acme

RULES: Final = tuple(Rule.read(dict(rule)) for rule in provisioner_rules(TENANT_ADMIN))

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

PATH: Final = re.compile(r"/apis?(/[^/]*\.[^/]*)?/v1(?:/namespaces/[^/]+(?=/))?/([a-z]+)(?:/([^/]+))?(/status)?$")
VERBS: Final = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
RBAC: Final = "rbac.authorization.k8s.io"
SPARE: Final = {
    # Replacing an object whole: only apply is used, but the kinds of a template may come to need it.
    *(("", each, "update") for each in ("resourcequotas", "limitranges", "serviceaccounts")),
    ("networking.k8s.io", "networkpolicies", "update"),
    (RBAC, "rolebindings", "update"),
    # Looking at one object: lists are used, but after a conflict about a quota's status.
    *(("", each, "get") for each in ("resourcequotas", "limitranges", "serviceaccounts")),
    ("networking.k8s.io", "networkpolicies", "get"),
    (RBAC, "rolebindings", "get"),
    # The API server asks for it when a role is bound.
    (RBAC, "clusterroles", "bind"),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def site(migrated_url: str, kubernetes_double: KubernetesDouble, tmp_path: Path) -> Site:
    kubernetes_double.pace.termination_s = 0.01
    kubernetes_double.pace.service_account_s = 600.0  # so that it is the provisioner that makes it
    return Site(migrated_url, kubernetes_double, tmp_path)


def used(call: Call) -> Iterator[tuple[str, str, str]]:
    """The rights that a call takes."""
    found = PATH.fullmatch(call.path)
    if found is None:
        return
    group, resource, name, subresource = (each or "" for each in found.groups())
    right = (group.removeprefix("/"), resource + subresource)
    yield *right, VERBS.get(call.method, "get" if name else "list")
    if call.method == "PATCH" and call.code == 201:
        yield *right, "create"


async def live(site: Site, provisioner: Provisioner) -> None:
    """All that can be asked for, and a repair."""
    asking: dict[str, Any] = {"by": "ann", "wait_s": 60.0}
    await provisioner.create_organization(acme(), **asking)
    await provisioner.set_quota("acme", LARGER, **asking)
    opened: dict[str, Any] = {"spec": {"ingress": [{}]}}
    merge = "application/merge-patch+json"
    assert site.double.request("PATCH", f"{NETWORK}/hotconfig-deny-all", opened, content_type=merge).code == 200
    await provisioner.reconcile_once()
    await provisioner.suspend("acme", **asking)
    await provisioner.resume("acme", **asking)
    await provisioner.offboard("acme", **asking)
    await provisioner.restore("acme", **asking)
    await provisioner.offboard("acme", **asking)
    await provisioner.purge("acme", **asking)
    site.double.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "org-theirs"}})
    with pytest.raises(NamespaceConflictError):
        await provisioner.create_organization(CreateOrganization("theirs", "T", "t@t.example"), **asking)
    await provisioner.adopt("theirs", policy=Adoption.ALWAYS, **asking)


async def test_a_tenants_life_takes_what_is_granted(site: Site) -> None:
    async with site.provisioner() as provisioner:
        await live(site, provisioner)
    assert [call for call in site.double.log.calls() if call.code in {401, 403}] == []
    taken = {right for call in site.double.log.calls(user="provisioner") for right in used(call)}
    granted = {(part.groups[0], part.resources[0], part.verbs[0]) for rule in RULES for part in rule.parts()}
    assert taken <= granted
    assert granted - taken <= SPARE, "more than it takes"
    assert site.double.get(ACME) is None


NEEDED: Final = [
    *(("", each, "patch") for each in ("namespaces", "resourcequotas", "limitranges", "serviceaccounts")),
    ("", "namespaces", "create"),
    ("", "resourcequotas", "create"),
    ("", "resourcequotas/status", "update"),
    ("networking.k8s.io", "networkpolicies", "create"),
    (RBAC, "rolebindings", "patch"),
    (RBAC, "clusterroles", "bind"),
]


@pytest.mark.parametrize(("group", "resource", "verb"), NEEDED, ids=lambda value: value or "core")
async def test_a_right_that_is_missing_is_told_with_its_name(site: Site, group: str, resource: str, verb: str) -> None:
    site.double.pace.is_running = False
    missing = Rule((verb,), (group,), (resource,))
    parts = [part for rule in RULES for part in rule.parts()]
    kept = [part for part in parts if (part.verbs, part.groups, part.resources) != _key(missing)]
    assert len(kept) == len(parts) - 1
    site.double.grant("provisioner", *kept)
    async with site.provisioner() as provisioner:
        with anyio.fail_after(120), pytest.raises(KubernetesDeniedError) as told:
            await provisioner.create_organization(acme(), by="ann", wait_s=60.0)
    words = str(told.value)
    assert resource.partition("/")[0] in words or verb == "bind"
    assert verb in words or verb == "bind"


def _key(rule: Rule) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return rule.verbs, rule.groups, rule.resources
