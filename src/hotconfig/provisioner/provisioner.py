"""``Provisioner``: tenants across PostgreSQL and Kubernetes, to be embedded in any program.

Owns the life of the connections and the public requests. A request is stored, then its first round runs inline: usually
the tenant stands when the call returns. What is left over, any worker carries on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from os import PathLike
from types import TracebackType
from typing import Any, Final, Required, Self, TypedDict, Unpack
from uuid import UUID, uuid4

import anyio

from hotconfig.core.errors import HotConfigError, NotStartedError
from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.provisioner import errors
from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.errors import (
    KubernetesRefusedError,
    KubernetesTrustError,
    LeaseLostError,
    NameTakenError,
    UnknownOrganizationError,
    WrongStateError,
)
from hotconfig.provisioner.kubernetes.port import KubernetesPort
from hotconfig.provisioner.model import (
    Adoption,
    Asked,
    CreateOrganization,
    IsolationReceipt,
    Lease,
    Operation,
    OperationKind,
    OperationState,
    Organization,
    Past,
    Planned,
    Progress,
    Quota,
    QuotaTexts,
    Request,
    State,
    make_request,
)
from hotconfig.provisioner.names import group_of, namespace_of
from hotconfig.provisioner.observation import Look, Observation
from hotconfig.provisioner.plan import plan
from hotconfig.provisioner.probes import probe_isolation
from hotconfig.provisioner.reconciler import MAX_DELETIONS, SIDE_BY_SIDE, Reconciled, Reconciler
from hotconfig.provisioner.rows import TenantRows
from hotconfig.provisioner.steps import decide
from hotconfig.provisioner.template import MANAGER, TenantTemplate
from hotconfig.provisioner.worker import LEASE_S, Worked, Worker

logger: Final = logging.getLogger("hotconfig.provisioner")

WAIT_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.5

Kube = KubernetesPort | str | PathLike[str] | None
"""How Kubernetes is reached: a port, the path of a kubeconfig, or None: the service account of the pod."""


class Asking(TypedDict, total=False):
    """What every request says beside what it wants."""

    by: Required[str]
    """Who asks, for the histories."""
    idempotency_key: str
    """The same key is the same operation. By default, each call is a new one."""
    reason: str | None
    wait_s: float
    """How long the call waits for the operation, in seconds; 0: it is stored and left to a reconciler."""


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
class Result:
    """The answer to a request.

    Attributes:
        organization, operation: As they were last seen.
        made: False if this idempotency key had asked for the same before.
        overused: Where the quota is below what is used: resource → (used, allowed). Nothing running is stopped, but
            nothing more starts.
    """

    organization: Organization
    operation: Operation
    made: bool
    overused: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    @property
    def finished(self) -> bool:
        """Whether it is carried out. If not, answer 202 and follow ``operation.id``."""
        return self.operation.finished


@dataclass(frozen=True, slots=True)
class _Parts:
    """What there is between opening and closing."""

    rows: TenantRows
    hands: Hands
    worker: Worker
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
            self._parts = _Parts(rows, hands, worker, reconciler)
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
        request = _request(wanted.as_json(), asking)
        lease = self._lease(asking)
        asked = await self._open.rows.create_organization(wanted.new(), request, lease=lease)
        return await self._follow(asked, lease, asking)

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
        return await self._open.rows.protect(slug, protected=protected, by=by, reason=reason)

    # looking

    async def get(self, slug: str) -> Organization:
        """One organization; UnknownOrganizationError if there is none."""
        return await self._open.rows.get(slug)

    async def list(
        self, *, states: Sequence[State] | None = None, after: str = "", limit: int | None = None
    ) -> tuple[Organization, ...]:
        """Organizations after the name ``after``, in the order of names; of every state if None."""
        return await self._open.rows.list(states=states, after=after, limit=limit)

    async def history(self, slug: str, *, limit: int | None = None) -> tuple[Past, ...]:
        """What became of an organization, the newest first."""
        return await self._open.rows.history(slug, limit=limit)

    async def operation(self, operation_id: UUID) -> Result | None:
        """An operation with its organization, as both are now; None if there is none."""
        asked = await self._open.rows.operation(operation_id)
        return None if asked is None else Result(asked.organization, asked.operation, made=False)

    async def plan(self, wanted: CreateOrganization | str, *, quota: Quota | None = None) -> tuple[Planned, ...]:
        """What carrying out would change in Kubernetes, changing nothing: for a new tenant, or for one that is there.

        Raises:
            NameTakenError, UnknownOrganizationError
            NamespaceConflictError: the namespace is somebody else's.
        """
        organization = await self._planned(wanted)
        if quota is not None:
            organization = replace(organization, quota=quota.texts())
        namespace = organization.namespace or namespace_of(organization.slug)
        seen = Observation().after(Look(namespace), await self._open.hands.look(namespace))
        now = datetime.now(UTC)
        lines = plan(organization, seen, self._template, now=now)
        progress = decide(organization, seen, self._template, now=now).progress
        if progress is not None and progress.error is not None:
            raise _failed(progress.error)
        return lines

    async def isolation_receipt(self, slug: str) -> IsolationReceipt:
        """Make the isolation probes now, and keep what they show. Look at ``breaches`` and ``not_made``.

        Raises:
            UnknownOrganizationError
            WrongStateError: it has no namespace.
            LeaseLostError: a worker has it; ask again.
            KubernetesUnavailableError
        """
        lease = self._open.worker.new_lease()
        organization = await self.get(slug)
        if organization.namespace is None or organization.namespace_uid is None:
            raise WrongStateError(f"organization {slug!r} has no namespace yet: there is nothing to probe")
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

    async def run(self, *, interval_s: float = 30.0) -> None:
        """Reconcile again and again, until cancelled; what time heals is logged and tried again."""
        await self._open.reconciler.run(interval_s=interval_s)

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

    def _lease(self, asking: Asking) -> Lease | None:
        return self._open.worker.new_lease() if asking.get("wait_s", WAIT_S) > 0 else None

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
        lease = self._lease(asking)
        request = _request({"slug": slug, "kind": kind.value, **body}, asking)
        asked = await self._open.rows.begin_operation(
            slug, kind, request, quota=quota, retention_s=retention_s, lease=lease
        )
        return await self._follow(asked, lease, asking)

    async def _follow(self, asked: Asked, lease: Lease | None, asking: Asking) -> Result:
        """Work on it while that helps, and look on while another does; until it is finished or the time is over."""
        result = Result(asked.organization, asked.operation, asked.made)
        with anyio.move_on_after(asking.get("wait_s", WAIT_S)):
            pause_s = FIRST_PAUSE_S
            while not result.finished and lease is not None:
                result = await self._advance(result, lease)
                if not result.finished:
                    await anyio.sleep(pause_s)
                    pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)
                    lease = self._open.worker.new_lease()
        if result.operation.state is OperationState.FAILED:
            raise _failed(result.operation.error or {})
        return result

    async def _advance(self, result: Result, lease: Lease) -> Result:
        """A round, if it is ours to make; then how it stands."""
        worked: Worked | None = None
        leased = await self._leased(result.organization, lease)
        if leased is not None:
            may_delete = result.operation.kind is OperationKind.PURGE
            try:
                worked = await self._open.worker.work(leased, lease, may_delete=may_delete)
            except LeaseLostError:
                logger.info("organization %s: another worker goes on", leased.slug)
        known = None if worked is None else worked.organization
        if known is not None and known.operation is not None and known.operation.id == result.operation.id:
            asked = Asked(known.operation, known, made=result.made)
        else:
            asked = await self._open.rows.operation(result.operation.id) or Asked(
                result.operation, result.organization, made=result.made
            )
        return Result(
            asked.organization, asked.operation, result.made, result.overused if worked is None else worked.overused
        )

    async def _leased(self, organization: Organization, lease: Lease) -> Organization | None:
        """The organization, if it is leased to us or can be now and is due."""
        if organization.lease_owner == lease.owner:
            return organization
        due = organization.next_attempt_at is not None and organization.next_attempt_at <= datetime.now(UTC)
        if not due:
            return None
        return next(iter(await self._open.rows.lease(lease, slug=organization.slug)), None)

    async def _planned(self, wanted: CreateOrganization | str) -> Organization:
        if isinstance(wanted, str):
            return await self.get(wanted)
        try:
            await self.get(wanted.slug)
        except UnknownOrganizationError:
            new = wanted.new()
            return Organization(
                new.slug,
                uuid4(),
                new.name,
                new.owner_email,
                State.PROVISIONING,
                datetime.now(UTC),
                new.quota,
                namespace=namespace_of(new.slug),
            )
        raise NameTakenError(f"there is an organization {wanted.slug!r} already. Choose another name.")


def _request(body: dict[str, Any], asking: Asking) -> Request:
    key = asking.get("idempotency_key") or uuid4().hex
    return make_request(body, idempotency_key=key, by=asking["by"], reason=asking.get("reason"))


def _failed(error: Mapping[str, Any]) -> HotConfigError:
    """The error that made an operation fail, by its code."""
    code, message = str(error.get("code", "")), str(error.get("message", "it failed"))
    if code == "superseded":
        return WrongStateError(f"{message}: look at the organization")
    kind = getattr(errors, f"{code}Error", None) if code else None
    if isinstance(kind, type) and issubclass(kind, HotConfigError):
        return kind(message)
    return KubernetesRefusedError(message)
