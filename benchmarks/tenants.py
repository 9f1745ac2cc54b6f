"""Working with tenants in the suite: provisioners, the floor beneath a creation, and where its time goes.

A floor is what any provisioner has to do that claims a namespace first, opens the gate last and stores what it did.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import psycopg

from benchmarks.clusters import Cluster
from hotconfig.postgres.connect import Session, open_session
from hotconfig.postgres.migrate import migrate
from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.provisioner import (
    CreateOrganization,
    KubernetesClient,
    Organization,
    Provisioner,
    Quota,
    State,
    TenantTemplate,
)
from hotconfig.provisioner.errors import KubernetesConflictError
from hotconfig.provisioner.template import Desired, desired

TENANTS: Final = "hotconfig_bench_tenants"
"""Where tenants are kept, by themselves: a reconcile looks after all there are. Dropped before and after."""
BY: Final = "benchmarks"
WAIT_S: Final = 120.0
TEMPLATE: Final = TenantTemplate(probe=False)
"""Without the isolation probes: they need a right that nobody gets by default."""
QUOTA: Final = Quota("10", "20Gi", "10Gi")

_numbers = itertools.count(1)


@contextmanager
def tables(database_url: str) -> Generator[None]:
    """No tenants, and none left."""

    def drop() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {TENANTS} CASCADE")

    drop()
    migrate(database_url, schema=TENANTS)
    try:
        yield
    finally:
        drop()


def new_slug(prefix: str) -> str:
    """A name that no tenant of this run had."""
    return f"{prefix}-{next(_numbers)}-{uuid4().hex[:6]}"


@asynccontextmanager
async def provisioner(database_url: str, cluster: Cluster) -> AsyncGenerator[Provisioner]:
    """Open, with its connections to both sides."""
    made = Provisioner(database_url, cluster.kubeconfig, template=TEMPLATE, schema=TENANTS)
    async with made as opened:
        await opened.list(limit=1)
        yield opened


async def create(opened: Provisioner, slug: str) -> float:
    """How long it takes until ``slug`` is active, in milliseconds."""
    wanted = CreateOrganization(slug, "Bench", "bench@example.com", quota=QUOTA)
    begun = perf_counter()
    result = await opened.create_organization(wanted, by=BY, wait_s=WAIT_S)
    took_ms = (perf_counter() - begun) * 1e3
    assert result.organization.state is State.ACTIVE, result
    return took_ms


async def change_quota(opened: Provisioner, slug: str, quota: Quota) -> float:
    """How long it takes until ``quota`` is in force, in milliseconds."""
    begun = perf_counter()
    result = await opened.set_quota(slug, quota, by=BY, wait_s=WAIT_S)
    took_ms = (perf_counter() - begun) * 1e3
    assert result.finished, result
    return took_ms


@dataclass(frozen=True)
class Least:
    """What the floor took, in milliseconds.

    ``calls``: the slowest fence is the slowest call. ``standing``: it stands only when it is in force, which takes the
    quota a second call; a quota does nothing before its status says so.
    """

    calls: float
    standing: float


@dataclass(frozen=True)
class Floor:
    """One POST, the slowest of the fences, the binding, and two commits: each alone, one after the other."""

    client: KubernetesClient
    session: Session

    async def take_ms(self) -> Least:
        """Once, in a namespace of its own."""
        slug = new_slug("floor")
        wanted = _wanted(slug)
        around_ms = await _timed(self._commit)
        around_ms += await _timed(lambda: self.client.create(wanted.claim))
        fences = (wanted.namespace, *wanted.behind_the_gate)
        fence_ms = [await _timed(lambda each=each: self.client.apply(each)) for each in fences]  # type: ignore[misc]
        status_ms = await _timed(lambda: self._fill_status(wanted))
        around_ms += await _timed(lambda: self.client.apply(wanted.binding))
        around_ms += await _timed(self._commit)
        quota_ms = next(took for took, each in zip(fence_ms, fences, strict=True) if each is wanted.quota)
        return Least(around_ms + max(fence_ms), around_ms + max(*fence_ms, quota_ms + status_ms))

    async def _fill_status(self, wanted: Desired) -> None:
        """As if nobody else did; where the controller did, it is refused, which takes as long."""
        assert wanted.quota is not None
        with suppress(KubernetesConflictError):
            await self.client.replace_status({**wanted.quota, "status": {"hard": wanted.quota["spec"]["hard"]}})

    async def _commit(self) -> None:
        self.session.execute(f"INSERT INTO {TENANTS}.bench_floor (said) VALUES (%s)", ["x" * 200])


@asynccontextmanager
async def floor(database_url: str, cluster: Cluster) -> AsyncGenerator[Floor]:
    """With connections of its own."""
    client = KubernetesClient(cluster.kubeconfig)
    await client.open()
    with open_session(database_url, application_name="benchmarks") as session:
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {TENANTS}.bench_floor"
            " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text NOT NULL)"
        )
        yield Floor(client, session)
    await client.close()


def _wanted(slug: str) -> Desired:
    now = datetime.now(UTC)
    owner = Organization(slug, uuid4(), "Bench", "bench@example.com", State.PROVISIONING, now, QUOTA.texts())
    return desired(owner, TEMPLATE, QUOTA, operation_id=uuid4().hex)


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    begun = perf_counter()
    await call()
    return (perf_counter() - begun) * 1e3


@dataclass
class Shares:
    """When something was waited for. Calls side by side count once."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def wrap(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The same call, whose time is kept."""

        async def called(*args: Any, **kwargs: Any) -> Any:
            begun = perf_counter()
            try:
                return await call(*args, **kwargs)
            finally:
                self.spans.append((begun, perf_counter()))

        return called

    def taken_ms(self) -> float:
        """How long there was at least one. Begins anew."""
        spans, self.spans = sorted(self.spans), []
        return covered(spans) * 1e3


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """The length of the union of intervals that are sorted by their beginnings."""
    total, until = 0.0, float("-inf")
    for begun, ended in spans:
        total += max(0.0, ended - max(begun, until))
        until = max(until, ended)
    return total


@asynccontextmanager
async def watched(database_url: str, cluster: Cluster) -> AsyncGenerator[tuple[Provisioner, Shares, Shares]]:
    """A provisioner whose waiting for PostgreSQL and for Kubernetes is kept."""
    database, kubernetes = Shares(), Shares()
    rows, call = PostgresTenants._rows, KubernetesClient._call  # noqa: SLF001
    PostgresTenants._rows = database.wrap(rows)  # type: ignore[method-assign,assignment]  # noqa: SLF001
    KubernetesClient._call = kubernetes.wrap(call)  # type: ignore[method-assign,assignment]  # noqa: SLF001
    try:
        async with provisioner(database_url, cluster) as opened:
            yield opened, database, kubernetes
    finally:
        PostgresTenants._rows, KubernetesClient._call = rows, call  # type: ignore[method-assign]  # noqa: SLF001
