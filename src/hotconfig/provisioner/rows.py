"""What the provisioner needs from the database, as a contract. PostgreSQL's answer is ``hotconfig.postgres.tenants``.

One suite (tests/contract/test_tenants.py) holds for every implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from hotconfig.core.tenants.records import (
    Asked,
    Lease,
    NewOrganization,
    Organization,
    Past,
    Progress,
    QuotaTexts,
    Request,
)
from hotconfig.core.tenants.states import OperationKind, State


class TenantRows(Protocol):
    """The rows of tenants.

    1. Every method is one transaction: all of it or nothing. Nothing is locked after it returns.
    2. Asking twice with one idempotency key is one operation, however many ask at once; ``made`` is true for one of
       them. The same key for another request raises ``IdempotencyKeyError``.
    3. An organization, its quota, their histories and the operation come in the same commit. Quota rows are ordinary
       rows of ``service_configs`` in the organization's scope, and changing them by hand raises ``generation`` too.
    4. At most one owner has a lease at a time, by the database's clock. Taking leases never waits for others.
    5. ``record`` changes nothing unless the lease is held and the state is still the one in the given record.
    6. States move only along :data:`hotconfig.core.tenants.states.TRANSITIONS`.
    7. No method deletes an organization. An absent row is never a wish; deletion is a state.
    8. Errors are ours: refusals as documented, else ``DatabaseUnavailableError`` and its siblings. Whatever raised
       one may be asked again, with the same key.
    9. Every organization carries the database's clock as ``read_at``; no deadline is compared with another.
    10. Any task may call, on asyncio and trio. A cancelled call has happened or not, as a whole.
    """

    async def create_organization(
        self,
        organization: NewOrganization,
        request: Request,
        *,
        lease: Lease | None = None,
    ) -> Asked:
        """Store a new organization.

        With ``lease`` it is ``provisioning`` and leased at once, else ``requested`` and due. A
        name whose quarantine is over is used anew, with a new uid.

        Raises:
            IdempotencyKeyError, NameTakenError, NameQuarantinedError
        """
        ...

    async def begin_operation(
        self,
        slug: str,
        kind: OperationKind,
        request: Request,
        *,
        quota: QuotaTexts | None = None,
        retention_s: float = 0.0,
        lease: Lease | None = None,
    ) -> Asked:
        """Ask for a change: the state moves, ``generation`` rises, the organization is due.

        With ``lease``, it is leased unless another worker has it: look at ``lease_owner``. A
        worker that has it notices at its next ``record``. ``quota`` counts for kind ``quota``, ``retention_s`` (until
        ``purge_after``) for ``offboard``. What moves the state supersedes unfinished operations that also did.

        Raises:
            IdempotencyKeyError, UnknownOrganizationError, WrongStateError, DeletionProtectedError
        """
        ...

    async def get(self, slug: str) -> Organization:
        """One organization.

        Raises:
            UnknownOrganizationError
        """
        ...

    async def list(
        self, *, states: Sequence[State] | None = None, after: str = "", limit: int | None = None
    ) -> tuple[Organization, ...]:
        """Organizations after the name ``after``, in the order of names. None: of every state, all of them."""
        ...

    async def operation(self, operation_id: UUID) -> Asked | None:
        """An operation with its organization as it is now; None if there is none."""
        ...

    async def history(self, slug: str, *, limit: int | None = None) -> tuple[Past, ...]:
        """What became of an organization of this name, the newest first, also of one before it."""
        ...

    async def protect(self, slug: str, *, protected: bool, by: str, reason: str | None = None) -> Organization:
        """Protect an organization from ``offboard`` and ``purge``, or lift that.

        Raises:
            UnknownOrganizationError
        """
        ...

    async def lease(self, lease: Lease, *, limit: int = 1, slug: str | None = None) -> tuple[Organization, ...]:
        """Take up to ``limit`` organizations that are due and that nobody has, the longest due first.

        With ``slug``, that one, due or not; nothing comes back if another has it. Unmanaged, deleted and failed
        organizations are never taken.
        """
        ...

    async def keep(self, slug: str, lease: Lease) -> bool:
        """Let the lease last ``lease.lease_s`` seconds from now. False: it is not held any more."""
        ...

    async def release(self, slug: str, owner: str) -> bool:
        """Let the lease go. False: it was not held any more."""
        ...

    async def record(self, organization: Organization, owner: str, progress: Progress) -> Organization:
        """Write down what was found and done; the organization as it is now comes back.

        If something was asked for since ``organization`` was read, it is due at once, whatever ``retry_in_s`` says.

        Raises:
            LeaseLostError: the lease ran out, or the state is not that of ``organization`` any more.
            WrongStateError: ``progress.state`` cannot follow.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
