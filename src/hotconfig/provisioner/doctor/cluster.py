"""The API server: reachable, trusted, new enough, and what each identity may do there, asked and not tried."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from os import PathLike
from typing import Any, Final

from hotconfig.core.errors import HotConfigError
from hotconfig.core.finding import Finding
from hotconfig.provisioner.errors import KubernetesDeniedError, KubernetesNotFoundError, KubernetesTrustError
from hotconfig.provisioner.kubernetes.client import KubernetesClient
from hotconfig.provisioner.manifests import POLICIES, PROVISIONER, PURGER, RBAC, provisioner_rules, purger_rules
from hotconfig.provisioner.names import group_of
from hotconfig.provisioner.probes import PROBED_AS
from hotconfig.provisioner.template import TENANT_ADMIN, Manifest
from hotconfig.provisioner.together import side_by_side

OLDEST_MINOR: Final = 30
"""Kubernetes 1.30: ValidatingAdmissionPolicy is stable."""
APPLY: Final = "hotconfig-provisioner manifests | kubectl apply -f -"
TOO_MUCH: Final = (
    ("delete", "", "namespaces", ""),
    ("bind", RBAC, "clusterroles", "cluster-admin"),
    ("escalate", RBAC, "clusterroles", ""),
)
"""What the provisioner's identity should not have: whoever takes it over has that too."""
Access = tuple[str, str, str, str]
"""Verb, API group, resource as in RBAC, name or empty."""


async def check_cluster(
    kubeconfig: str | PathLike[str] | None,
    purger: str | PathLike[str] | None,
    *,
    cluster_role: str = TENANT_ADMIN,
) -> AsyncIterator[Finding]:
    """Everything about the server, both identities and the policies; stops at what makes the rest impossible."""
    try:
        client = KubernetesClient(kubeconfig)
    except HotConfigError as error:
        yield Finding("Kubernetes", "problem", "cannot be used", str(error))
        return
    try:
        server = await _server(client)
        yield server
        if server.state == "problem":
            return
        yield await _allowed(client, "provisioner", PROVISIONER, provisioner_rules(cluster_role))
        yield await _excess(client)
        yield await _impersonation(client)
        for name in POLICIES:
            yield await _policy(client, name)
    except HotConfigError as error:
        yield Finding("Kubernetes", "problem", "stopped answering", str(error))
        return
    finally:
        await client.close()
    yield await _purger(purger)


async def _server(client: KubernetesClient) -> Finding:
    try:
        version = await client.version()
    except KubernetesTrustError as error:
        return Finding("Kubernetes", "problem", "is not trusted", str(error))
    except KubernetesDeniedError as error:
        return Finding("Kubernetes", "problem", "refuses this identity", str(error))
    except HotConfigError as error:
        return Finding("Kubernetes", "problem", "cannot be reached", f"{error}. Check the kubeconfig's server.")
    found = str(version.get("gitVersion", "of an unknown version"))
    if not client.is_verified:
        advice = "tokens can be read on the way: have the kubeconfig say https:// and certificate-authority-data"
        return Finding("Kubernetes", "warning", f"{found}, and nothing says that it is it", advice)
    found = f"{found}, certificate trusted"
    minor = str(version.get("minor", "")).rstrip("+")
    if minor.isdecimal() and int(minor) < OLDEST_MINOR:
        advice = "the admission policies need Kubernetes 1.30: without them tenants can open their fences"
        return Finding("Kubernetes", "warning", found, advice)
    return Finding("Kubernetes", "ok", found)


async def _allowed(client: KubernetesClient, check: str, role: str, rules: Sequence[Manifest]) -> Finding:
    asked = list(_accesses(rules))
    answers = await side_by_side([partial(_may, client, each) for each in asked])
    lacking = [each for each, may in zip(asked, answers, strict=True) if not may]
    if not lacking:
        return Finding(check, "ok", f"has all {len(asked)} permissions of ClusterRole {role}")
    named = ", ".join(_named(each) for each in lacking)
    return Finding(check, "problem", f"may not: {named}", f"ClusterRole {role} grants it: {APPLY}")


async def _excess(client: KubernetesClient) -> Finding:
    answers = await side_by_side([partial(_may, client, each) for each in TOO_MUCH])
    held = [_named(each) for each, may in zip(TOO_MUCH, answers, strict=True) if may]
    if held:
        advice = f"more than it needs: give it a ServiceAccount of its own with ClusterRole {PROVISIONER}: {APPLY}"
        return Finding("least privilege", "warning", f"may also: {', '.join(held)}", advice)
    return Finding("least privilege", "ok", "may neither delete namespaces nor make itself anything more")


async def _impersonation(client: KubernetesClient) -> Finding:
    wanted = [("impersonate", "", "users", PROBED_AS), ("impersonate", "", "groups", group_of("acme"))]
    if all(await side_by_side([partial(_may, client, each) for each in wanted])):
        return Finding("isolation receipt", "ok", "may impersonate tenants: the probes are made")
    return Finding(
        "isolation receipt",
        "note",
        "may not impersonate tenants: the isolation probes are not made, and receipts say so",
        f"to have them, grant 'impersonate' on user {PROBED_AS!r} and on groups. Whoever holds that on all groups "
        "can be anybody, so it is not in the manifests.",
    )


async def _policy(client: KubernetesClient, name: str) -> Finding:
    try:
        for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"):
            await client.get(kind, name, namespace=None)
    except KubernetesNotFoundError as error:
        return Finding(f"policy {name}", "warning", "is missing", f"{APPLY} ({error})")
    except KubernetesDeniedError:
        advice = f"ClusterRole {PROVISIONER} lets this identity see it by name: {APPLY}"
        return Finding(f"policy {name}", "note", "cannot be seen by this identity", advice)
    return Finding(f"policy {name}", "ok", "is there, and bound")


async def _purger(purger: str | PathLike[str] | None) -> Finding:
    if purger is None:
        return Finding("purger", "note", "none: this program deletes nothing", "pass --purger where tenants are purged")
    try:
        client = KubernetesClient(purger)
    except HotConfigError as error:
        return Finding("purger", "problem", "cannot be used", str(error))
    try:
        return await _allowed(client, "purger", PURGER, purger_rules())
    except HotConfigError as error:
        return Finding("purger", "problem", "cannot be asked", str(error))
    finally:
        await client.close()


async def _may(client: KubernetesClient, access: Access) -> bool:
    verb, group, resource, name = access
    return await client.can_i(verb, resource, group=group, name=name)


def _accesses(rules: Sequence[Manifest]) -> Iterator[Access]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    names: Any = rule.get("resourceNames", [""])
                    yield from ((verb, group, resource, name) for name in names)


def _named(access: Access) -> str:
    verb, group, resource, name = access
    return f"{verb} {resource}{f'.{group}' if group else ''}{f' {name}' if name else ''}"
