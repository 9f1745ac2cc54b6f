"""The provisioner dies after every single call to Kubernetes and to the database, and another one goes on.

For each operation, a run is ended after its first call, after its second, and so on until it gets through. Its lease
runs out; the next one dies too, a few calls on; the third carries it to its end. Then the end state must be right,
nothing may be orphaned, and what belongs to others must be as it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.provisioner import Provisioner, State
from hotconfig.provisioner.kubernetes.client import KubernetesClient
from hotconfig.provisioner.template import ORG_ID
from hotconfig.testing.kubernetes import KubernetesDouble
from tests.support.provisioners import ACME, NETWORK, UNPROBED, Site, until
from tests.support.tenant_actions import (
    adopt,
    create,
    offboard,
    purge,
    quota,
    refused,
    restore,
    resume,
    suspend,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

WAIT_S = 30.0
MOST_POINTS = 60
ANSWERED = ("create", "apply", "get", "list", "replace_status", "delete")
STORED = ("create_organization", "begin_operation", "record", "lease", "operation")


class Died(BaseException):
    """The process ends here."""


@dataclass
class Life:
    """How many calls a process still makes before it dies. None: it lives."""

    left: int | None = None

    def spend(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left <= 0:
            raise Died


class Mortal:
    """A port to Kubernetes, or rows, whose caller dies after a call has been carried out."""

    def __init__(self, inner: Any, names: tuple[str, ...], life: Life) -> None:
        self._inner = inner
        self._names = names
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._names:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            answer = await method(*args, **kwargs)
            self._life.spend()
            return answer

        return call


class Crashes:
    """A site, and provisioners on it that die."""

    def __init__(self, site: Site, kube: KubernetesClient, purger: KubernetesClient) -> None:
        self.site = site
        self.kube = kube
        self.purger = purger
        self.life = Life()

    def provisioner(self, calls: int | None = None) -> Provisioner:
        """One that dies after so many calls; the life of the one before is over."""
        self.life = Life(calls)
        kube, purger = (Mortal(each, ANSWERED, self.life) for each in (self.kube, self.purger))
        return Provisioner(self.site.database_url, kube, purger=purger, template=UNPROBED)

    async def run(self, calls: int | None, work: Callable[[Provisioner], Awaitable[object]]) -> bool:
        """Whether ``work`` got through before its provisioner died. Then, all leases run out."""
        try:
            async with self.provisioner(calls) as provisioner:
                await work(provisioner)
        except BaseException as error:
            if not _is_death(error):
                raise
            return False
        finally:
            self.life = Life()
            with psycopg.connect(self.site.database_url, autocommit=True) as connection:
                connection.execute(
                    "UPDATE hotconfig.organizations SET lease_until = now() - interval '1 s' WHERE lease_until > now()"
                )
        return True


def _is_death(error: BaseException) -> bool:
    """Alone, or in groups together with nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_death(each) for each in error.exceptions)
    return isinstance(error, Died)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def site(migrated_url: str, tmp_path: Path) -> Generator[Site]:
    with KubernetesDouble(tls=False) as double:
        double.pace.termination_s = 0.01
        yield Site(migrated_url, double, tmp_path)


@pytest.fixture
async def crashes(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Crashes]:
    made = Crashes(site, KubernetesClient(site.kubeconfig), KubernetesClient(site.purger_config))

    def rows(url: str, *, schema: str) -> Mortal:
        return Mortal(PostgresTenants(url, schema=schema), STORED, made.life)

    monkeypatch.setattr("hotconfig.provisioner.provisioner.PostgresTenants", rows)
    yield made
    await made.kube.close()
    await made.purger.close()


Step = Callable[[Provisioner, str], Awaitable[object]]


@dataclass(frozen=True)
class Operation:
    """Something that is asked for: what must be there before, and what must have become of it."""

    name: str
    before: tuple[Step, ...]
    ask: Step
    state: State
    right: Callable[[Site, str], None]


def gone(site: Site, slug: str) -> None:
    assert site.double.get(f"/api/v1/namespaces/org-{slug}") is None


OPERATIONS = [
    Operation("create", (), create, State.ACTIVE, lambda site, slug: site.assert_open(slug)),
    Operation("quota", (create,), quota, State.ACTIVE, lambda site, slug: site.assert_open(slug, cpu="20")),
    Operation("suspend", (create,), suspend, State.SUSPENDED, lambda site, slug: site.assert_cordoned(slug)),
    Operation("resume", (create, suspend), resume, State.ACTIVE, lambda site, slug: site.assert_open(slug)),
    Operation("offboard", (create,), offboard, State.OFFBOARDING, lambda site, slug: site.assert_isolated(slug)),
    Operation("restore", (create, offboard), restore, State.ACTIVE, lambda site, slug: site.assert_open(slug)),
    Operation("purge", (create, offboard), purge, State.DELETED, gone),
    Operation("adopt", (refused,), adopt, State.ACTIVE, lambda site, slug: site.assert_open(slug)),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_wherever_it_dies_another_goes_on(crashes: Crashes, operation: Operation) -> None:
    stranger = bystander(crashes.site)
    for calls in range(1, MOST_POINTS):
        slug = f"t{calls}"
        await make_ready(crashes, operation, slug)
        through = await crashes.run(calls, of(operation.ask, slug))
        if through:
            break
        await crashes.run(calls % 5 + 1, Provisioner.reconcile_once)
        await recover(crashes, operation, slug, asks_again=calls % 2 == 0)
    else:
        raise AssertionError("it never got through")
    assert calls > 3, "it must have died a few times"
    await check(crashes, operation, calls)
    assert bystander(crashes.site) == stranger


async def test_wherever_a_repair_dies_another_goes_on(crashes: Crashes) -> None:
    site = crashes.site
    await crashes.run(None, lambda provisioner: create(provisioner, "acme"))
    for calls in range(1, MOST_POINTS):
        opened: dict[str, Any] = {"spec": {"ingress": [{}]}}
        merge = "application/merge-patch+json"
        path = f"{NETWORK}/hotconfig-deny-all"
        assert site.double.request("PATCH", path, opened, content_type=merge).code == 200
        assert site.double.request("DELETE", f"{ACME}/limitranges/hotconfig-limits").code == 200
        if await crashes.run(calls, Provisioner.reconcile_once):
            break
        await crashes.run(None, Provisioner.reconcile_once)
        site.assert_open()
    assert calls > 8, "it must have died a few times"
    site.assert_open()


def of(step: Step, slug: str) -> Callable[[Provisioner], Awaitable[object]]:
    """The step for one organization."""
    return lambda provisioner: step(provisioner, slug)


async def make_ready(crashes: Crashes, operation: Operation, slug: str) -> None:
    if operation.name == "adopt":
        crashes.site.double.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"org-{slug}"}})
    for step in operation.before:
        assert await crashes.run(None, of(step, slug))


async def recover(crashes: Crashes, operation: Operation, slug: str, *, asks_again: bool) -> None:
    """Either the caller asks again with the same key, or nobody does and the reconciler finds it."""
    async with crashes.provisioner() as provisioner:
        if asks_again:
            await operation.ask(provisioner, slug)
            return

        async def carried_out() -> bool:
            await provisioner.reconcile_once()
            found = await provisioner.get(slug)
            return found.state is operation.state and found.settled and found.conditions == ()

        await until(carried_out)


async def check(crashes: Crashes, operation: Operation, points: int) -> None:
    """Every tenant as it should be, no namespace without one, every operation done, and once."""
    owners: dict[str, UUID] = {}
    async with crashes.provisioner() as provisioner:
        for organization in await provisioner.list():
            assert (organization.state, organization.settled) == (operation.state, True), organization
            assert organization.operation is not None
            assert organization.operation.state == "done"
            operation.right(crashes.site, organization.slug)
            owners[f"org-{organization.slug}"] = organization.uid
        assert (await provisioner.reconcile_once()).worked == (), "nothing is left to do"
    assert len(owners) == points
    there = {each["metadata"]["name"]: each for each in crashes.site.double.items("/api/v1/namespaces")}
    ours = {name: each for name, each in there.items() if name.startswith("org-")}
    assert set(ours) == (set() if operation.state is State.DELETED else set(owners))
    for name, each in ours.items():
        assert each["metadata"]["annotations"][ORG_ID] == str(owners[name])
    deleted = {call.path for call in crashes.site.double.log.calls(method="DELETE")}
    assert deleted <= {f"/api/v1/namespaces/{name}" for name in owners if operation.state is State.DELETED}


def bystander(site: Site) -> list[dict[str, Any]]:
    """What belongs to somebody else, as it is now; made when it is not there yet."""
    if site.double.get("/api/v1/namespaces/bystander") is None:
        metadata = {"name": "q", "namespace": "bystander"}
        narrow: dict[str, Any] = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bystander"}}
        site.double.apply(made, narrow | {"spec": {"hard": {"pods": "1"}}})
    space = site.double.get("/api/v1/namespaces/bystander")
    (quota,) = site.double.items("/api/v1/namespaces/bystander/resourcequotas")
    assert space is not None
    return [space, quota["spec"]]
