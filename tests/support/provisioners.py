"""Provisioners against the Kubernetes double, and what they must have left behind."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from hotconfig.provisioner import CreateOrganization, Provisioner, Quota, TenantTemplate
from hotconfig.provisioner.manifests import tenant_admin_rules
from hotconfig.provisioner.template import TENANT_ADMIN
from hotconfig.testing.kubernetes import KubernetesDouble

_keys = itertools.count(1)

ACME = "/api/v1/namespaces/org-acme"
NETWORK = "/apis/networking.k8s.io/v1/namespaces/org-acme/networkpolicies"
BINDING = "/apis/rbac.authorization.k8s.io/v1/namespaces/org-acme/rolebindings/hotconfig-admin"
QUOTA = f"{ACME}/resourcequotas/hotconfig-quota"

UNPROBED = TenantTemplate(probe=False)
"""Without the isolation probes, which need a right of their own."""


class Site:
    """A database and a Kubernetes double, and provisioners that work on both."""

    def __init__(self, database_url: str, double: KubernetesDouble, directory: Path) -> None:
        self.database_url = database_url
        self.double = double
        self.kubeconfig = double.kubeconfig(directory, user="provisioner")
        self.purger_config = double.kubeconfig(directory, user="purger")
        double.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": TENANT_ADMIN},
                "rules": tenant_admin_rules(),
            }
        )

    def provisioner(self, template: TenantTemplate = UNPROBED) -> Provisioner:
        """Not open yet."""
        return Provisioner(self.database_url, self.kubeconfig, purger=self.purger_config, template=template)

    def see(self, path: str, slug: str = "acme") -> dict[str, Any]:
        """The object at ``path``, which is written for acme, of organization ``slug``; it must be there."""
        found = self.double.get(path.replace("org-acme", f"org-{slug}"))
        assert found is not None, (path, slug)
        return found

    def assert_open(self, slug: str = "acme", *, cpu: str = "10") -> None:
        """A tenant that stands: fences, a quota in force, the gate open."""
        labels = self.see(ACME, slug)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert "hotconfig.dev/cordoned" not in labels
        quota = self.see(QUOTA, slug)
        assert quota["spec"]["hard"]["requests.cpu"] == cpu
        assert quota["status"]["hard"] == quota["spec"]["hard"]
        assert "pods" not in quota["spec"]["hard"]
        assert self.see(f"{ACME}/serviceaccounts/default", slug)["automountServiceAccountToken"] is False
        assert self.see(f"{ACME}/limitranges/hotconfig-limits", slug)["spec"]["limits"]
        assert not self.see(f"{NETWORK}/hotconfig-deny-all", slug)["spec"].get("ingress")
        assert self.see(f"{NETWORK}/hotconfig-allow-dns", slug)["spec"]["egress"]
        assert [each["name"] for each in self.see(BINDING, slug)["subjects"]] == [f"org:{slug}:admin"]

    def assert_cordoned(self, slug: str = "acme") -> None:
        """Nothing new may start."""
        assert self.see(ACME, slug)["metadata"]["labels"]["hotconfig.dev/cordoned"] == "true"
        quota = self.see(QUOTA, slug)
        assert quota["spec"]["hard"]["pods"] == quota["status"]["hard"]["pods"] == "0"

    def assert_isolated(self, slug: str = "acme") -> None:
        """Nobody is bound, the network is closed, nothing new starts; nothing is deleted."""
        self.assert_cordoned(slug)
        assert not self.see(BINDING, slug).get("subjects")
        assert not self.see(f"{NETWORK}/hotconfig-allow-dns", slug)["spec"].get("egress")


def acme(**changes: Any) -> CreateOrganization:
    return CreateOrganization("acme", "Acme", "ann@acme.example", **changes)


def key() -> str:
    return f"key-{next(_keys)}"


LARGER = Quota("20", "40Gi", "50Gi")


async def until(found: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again, for a minute at most."""
    with anyio.fail_after(60):
        while not await found():  # noqa: ASYNC110 - what is asked about does not tell by itself
            await anyio.sleep(0.02)
