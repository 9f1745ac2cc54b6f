"""``Provisioner``: tenants across PostgreSQL and Kubernetes, to be embedded in any program.

Owns the life of the connections and the public requests. A request is stored, then its first round runs inline: usually
the tenant stands when the call returns. What is left over, any worker carries on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Any, Self, Unpack
from uuid import UUID

import anyio

from hotconfig.core.errors import NotStartedError
from hotconfig.core.tenants.states import LEASABLE
from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.provisioner.asking import MAX_RETENTION_S, check_known, check_limit, check_seconds, check_story
from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.errors import (
    KubernetesTrustError,
    LeaseLostError,
    WrongStateError,
)
from hotconfig.provisioner.following import Asking, Following, Result, request_of
from hotconfig.provisioner.kubernetes.port import KubernetesPort
from hotconfig.provisioner.model import (
    Adoption,
    CreateOrganization,
    IsolationReceipt,
    OperationKind,
    Organization,
    Past,
    Planned,
    Progress,
    Quota,
    QuotaTexts,
    State,
)
from hotconfig.provisioner.names import group_of
from hotconfig.provisioner.preview import Preview
from hotconfig.provisioner.probes import probe_isolation
from hotconfig.provisioner.reconciler import MAX_DELETIONS, SIDE_BY_SIDE, Reconciled, Reconciler
from hotconfig.provisioner.rows import TenantRows
from hotconfig.provisioner.template import MANAGER, TenantTemplate
from hotconfig.provisioner.worker import LEASE_S, Worker

Kube = KubernetesPort | str | PathLike[str] | None
"""How Kubernetes is reached: a port, the path of a kubeconfig, or None: the service account of the pod."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the work of a provisioner is bounded by.

    Attributes:
        lease_s: After which another worker goes on where this one died.
        max_deletions: The most namespaces that go in one cycle of the reconciler.
        side_by_side: The most organizations that one cycle works on at a time.
    """

    lease_s: float = LEASE_S
    max_deletions: int = MAX_DELETIONS
    side_by_side: int = SIDE_BY_SIDE


@dataclass(frozen=True, slots=True)
class _Parts:
    """What there is between opening and closing."""

    rows: TenantRows
    hands: Hands
    worker: Worker
    following: Following
    reconciler: Reconciler


class Provisioner:
    """Creates, changes, suspends, offboards and repairs tenants. Use it with ``async with``, on asyncio or trio.

    Any task of the event loop may call. Requests that end in state ``failed`` raise what made them fail; those that are
    not finished within ``wait_s`` return a ``Result`` that is not ``finished``, and go on.
    """

    def __init__(
        self,
        database_url: str,
        kube: Kube = None,
        *,
        purger: Kube = None,
        template: TenantTemplate | None = None,
        schema: str = "hotconfig",
        bounds: Bounds | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            database_url: A role with ``grant_provisioner``.
            kube: The provisioner's identity: a kubeconfig's path, a port, or None in a pod.
            purger: The identity that may delete, likewise. None: this program deletes nothing.
            template: What every tenant gets.
            schema: Of hotconfig's tables.
            bounds: Of its work.
        """
        self._database_url = database_url
        self._schema = schema
        self._kube = kube
        self._purger = purger
        self._template = template or TenantTemplate()
        self._bounds = bounds or Bounds()
        self._stack = AsyncExitStack()
        self._parts: _Parts | None = None

    async def __aenter__(self) -> Self:
        """Open, with connections to Kubernetes ahead.

        Raises:
            KubernetesTrustError: the kubeconfig cannot be used, or lightkube is not installed.
        """
        async with AsyncExitStack() as stack:
            kube = await self._reach(self._kube, stack)
            purger = None if self._purger is None else await self._reach(self._purger, stack)
            rows = PostgresTenants(self._database_url, schema=self._schema)
            stack.push_async_callback(rows.close)
            hands = Hands(kube, purger, self._template)
            worker = Worker(rows, hands, self._bounds.lease_s)
            bounds = self._bounds
            reconciler = Reconciler(worker, max_deletions=bounds.max_deletions, side_by_side=bounds.side_by_side)
            self._parts = _Parts(rows, hands, worker, Following(rows, worker), reconciler)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts = None
        await self._stack.aclose()

    # asking for something

    async def create_organization(self, wanted: CreateOrganization, **asking: Unpack[Asking]) -> Result:
        """Make a tenant; usually it is active when this returns.

        Raises:
            NameTakenError, NameQuarantinedError, IdempotencyKeyError: and nothing was made.
            NamespaceConflictError, KubernetesDeniedError, KubernetesRefusedError, IsolationBreachedError: it is
                ``failed``; mend the cause and ``adopt``.
            DatabaseUnavailableError: ask again with the same key.
        """
        request = request_of(wanted.as_json(), asking)
        lease = self._open.following.lease(asking)
        asked = await self._open.rows.create_organization(wanted.new(), request, lease=lease)
        return await self._open.following.follow(asked, lease, asking)

    async def set_quota(self, slug: str, quota: Quota, **asking: Unpack[Asking]) -> Result:
        """Change a quota; when it is finished, it is in force. Look at ``Result.overused`` after lowering one.

        Raises:
            UnknownOrganizationError, WrongStateError, IdempotencyKeyError, DatabaseUnavailableError
        """
        body = {"quota": quota.texts().by_key()}
        return await self._ask(slug, OperationKind.QUOTA, body, asking, quota=quota.texts())

    async def suspend(self, slug: str, **asking: Unpack[Asking]) -> Result:
        """Let nothing new start; what runs goes on. Errors as :meth:`set_quota`."""
        return await self._ask(slug, OperationKind.SUSPEND, {}, asking)

    async def resume(self, slug: str, **asking: Unpack[Asking]) -> Result:
        """Undo :meth:`suspend`. Errors as :meth:`set_quota`."""
        return await self._ask(slug, OperationKind.RESUME, {}, asking)

    async def offboard(self, slug: str, *, retention_s: float | None = None, **asking: Unpack[Asking]) -> Result:
        """Isolate a tenant at once, and purge it after ``retention_s`` seconds (None: the template's).

        Raises:
            DeletionProtectedError: lift the protection first. The rest as :meth:`set_quota`.
        """
        kept_s = self._template.retention_s if retention_s is None else retention_s
        check_seconds("retention_s", kept_s, most=MAX_RETENTION_S)
        return await self._ask(slug, OperationKind.OFFBOARD, {"retention_s": kept_s}, asking, retention_s=kept_s)

    async def restore(self, slug: str, **asking: Unpack[Asking]) -> Result:
        """Bring an offboarded tenant back, until its retention is over. Errors as :meth:`set_quota`."""
        return await self._ask(slug, OperationKind.RESTORE, {}, asking)

    async def purge(self, slug: str, **asking: Unpack[Asking]) -> Result:
        """Delete an offboarded tenant now, for good. Takes the purger's identity. Errors as :meth:`offboard`."""
        return await self._ask(slug, OperationKind.PURGE, {}, asking)

    async def adopt(
        self,
        slug: str,
        *,
        policy: Adoption = Adoption.NEVER,
        quota: Quota | None = None,
        **asking: Unpack[Asking],
    ) -> Result:
        """Take over a row that was never managed, or try a failed one again.

        ``policy`` says what becomes of a namespace of its name that is somebody else's. Errors as
        :meth:`create_organization`.
        """
        texts = None if quota is None else quota.texts()
        body = {"adoption": policy.value, "quota": None if texts is None else texts.by_key()}
        return await self._ask(slug, OperationKind.ADOPT, body, asking, quota=texts)

    async def protect(self, slug: str, *, protected: bool = True, by: str, reason: str | None = None) -> Organization:
        """Protect a tenant from being offboarded and purged, or lift that. UnknownOrganizationError."""
        check_story(by, reason)
        return await self._open.rows.protect(check_known(slug), protected=protected, by=by, reason=reason)

    # looking

    async def get(self, slug: str) -> Organization:
        """One organization; UnknownOrganizationError if there is none."""
        return await self._open.rows.get(check_known(slug))

    async def list(
        self, *, states: Sequence[State] | None = None, after: str = "", limit: int | None = None
    ) -> tuple[Organization, ...]:
        """Organizations after the name ``after``, in the order of names; of every state if None."""
        return await self._open.rows.list(states=states, after=after, limit=check_limit(limit))

    async def history(self, slug: str, *, limit: int | None = None) -> tuple[Past, ...]:
        """What became of an organization, the newest first."""
        return await self._open.rows.history(check_known(slug), limit=check_limit(limit))

    async def operation(self, operation_id: UUID) -> Result | None:
        """An operation with its organization, as both are now; None if there is none."""
        asked = await self._open.rows.operation(operation_id)
        return None if asked is None else Result(asked.organization, asked.operation, made=False)

    async def plan(
        self,
        wanted: CreateOrganization | str,
        *,
        quota: Quota | None = None,
        operation: OperationKind | None = None,
        adoption: Adoption = Adoption.NEVER,
    ) -> tuple[Planned, ...]:
        """What carrying out would change in Kubernetes, changing nothing: for a new tenant, or for one that is there.

        With ``operation``, what would change if that were asked for now; without, what has drifted or is under way.

        Raises:
            NameTakenError, UnknownOrganizationError, WrongStateError, DeletionProtectedError
            NamespaceConflictError: the namespace is somebody else's.
        """
        return await Preview(self._open.rows, self._open.hands).plan(
            wanted, quota=quota, operation=operation, adoption=adoption
        )

    async def isolation_receipt(self, slug: str) -> IsolationReceipt:
        """Make the isolation probes now, and keep what they show. Look at ``breaches`` and ``not_made``.

        Raises:
            UnknownOrganizationError
            WrongStateError: it has no namespace, or none any more.
            LeaseLostError: a worker has it; ask again.
            KubernetesUnavailableError
        """
        lease = self._open.worker.new_lease()
        organization = await self.get(slug)
        if organization.namespace is None or organization.namespace_uid is None:
            raise WrongStateError(f"organization {slug!r} has no namespace yet: there is nothing to probe")
        if organization.state not in LEASABLE:
            raise WrongStateError(f"organization {slug!r} is {organization.state}: there is nothing to probe")
        if not await self._open.rows.lease(lease, slug=slug):
            raise LeaseLostError(f"a worker has organization {slug!r} just now. Ask again.")
        try:
            receipt = await probe_isolation(
                self._open.hands.kube,
                organization.namespace,
                namespace_uid=organization.namespace_uid,
                group=group_of(slug, self._template.role),
            )
            progress = Progress(receipt=receipt, event="probed", by=MANAGER)
            await self._open.rows.record(organization, lease.owner, progress)
        finally:
            with anyio.CancelScope(shield=True):
                await self._open.rows.release(slug, lease.owner)
        return receipt

    # keeping it so

    async def reconcile_once(self) -> Reconciled:
        """One cycle over all tenants: what is due, what drifted; the brake holds deletions back.

        Raises:
            DatabaseUnavailableError: and nothing was done.
        """
        return await self._open.reconciler.once()

    async def run(self, *, interval_s: float = 30.0, on_cycle: Callable[[Reconciled], None] | None = None) -> None:
        """Reconcile again and again, until cancelled. What stands in the way of a cycle is logged; the next one comes.

        ``interval_s``: seconds between two. ``on_cycle`` is told of each cycle, in the event loop: it must neither wait
        nor raise.

        Raises:
            InvalidRequestError: ``interval_s`` is no number of seconds.
        """
        check_seconds("interval_s", interval_s)
        await self._open.reconciler.run(interval_s=interval_s, on_cycle=on_cycle)

    # inside

    @property
    def _open(self) -> _Parts:
        if self._parts is None:
            raise NotStartedError("this Provisioner is not open: use it within `async with`")
        return self._parts

    @staticmethod
    async def _reach(kube: Kube, stack: AsyncExitStack) -> KubernetesPort:
        """The port to Kubernetes; what is made here is closed here."""
        if not (kube is None or isinstance(kube, str | PathLike)):
            await kube.open()
            return kube
        try:
            from hotconfig.provisioner.kubernetes.client import KubernetesClient  # noqa: PLC0415 - needs an extra
        except ImportError as error:
            raise KubernetesTrustError("lightkube is missing: pip install 'hotconfig[provisioner]'") from error
        client = KubernetesClient(kube)
        stack.push_async_callback(client.close)
        await client.open()
        return client

    async def _ask(
        self,
        slug: str,
        kind: OperationKind,
        body: dict[str, Any],
        asking: Asking,
        *,
        quota: QuotaTexts | None = None,
        retention_s: float = 0.0,
    ) -> Result:
        check_known(slug)
        request = request_of({"slug": slug, "kind": kind.value, **body}, asking)
        lease = self._open.following.lease(asking)
        asked = await self._open.rows.begin_operation(
            slug, kind, request, quota=quota, retention_s=retention_s, lease=lease
        )
        return await self._open.following.follow(asked, lease, asking)
