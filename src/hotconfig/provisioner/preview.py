"""Plans for tenants as they stand, or as they would be: reads rows and Kubernetes, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from hotconfig.core.tenants.records import NEVER
from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.errors import (
    DeletionProtectedError,
    NameTakenError,
    UnknownOrganizationError,
    WrongStateError,
)
from hotconfig.provisioner.following import failed
from hotconfig.provisioner.model import (
    Adoption,
    CreateOrganization,
    Operation,
    OperationKind,
    OperationState,
    Organization,
    Planned,
    Quota,
    State,
)
from hotconfig.provisioner.names import namespace_of
from hotconfig.provisioner.observation import Look, Observation
from hotconfig.provisioner.plan import plan
from hotconfig.provisioner.rows import TenantRows
from hotconfig.provisioner.steps import decide

_MOVES: Final[Mapping[OperationKind, tuple[State | None, frozenset[State]]]] = {
    OperationKind.QUOTA: (
        None,
        frozenset({State.REQUESTED, State.PROVISIONING, State.ACTIVE, State.SUSPENDED}),
    ),
    OperationKind.SUSPEND: (State.SUSPENDED, frozenset({State.ACTIVE})),
    OperationKind.RESUME: (State.ACTIVE, frozenset({State.SUSPENDED})),
    OperationKind.OFFBOARD: (State.OFFBOARDING, frozenset({State.ACTIVE, State.SUSPENDED, State.FAILED})),
    OperationKind.RESTORE: (State.PROVISIONING, frozenset({State.OFFBOARDING})),
    OperationKind.PURGE: (State.PURGING, frozenset({State.OFFBOARDING})),
    OperationKind.ADOPT: (State.PROVISIONING, frozenset({State.UNMANAGED, State.FAILED})),
}
"""Where each operation leads (None: the state stays), and from where it is possible: ``begin_operation`` in SQL."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Says what carrying out would change."""

    rows: TenantRows
    hands: Hands

    async def plan(
        self,
        wanted: CreateOrganization | str,
        *,
        quota: Quota | None = None,
        operation: OperationKind | None = None,
        adoption: Adoption = Adoption.NEVER,
    ) -> tuple[Planned, ...]:
        """See :meth:`hotconfig.provisioner.Provisioner.plan`."""
        organization = await self._planned(wanted)
        if operation is not None:
            organization = _asked_for(organization, operation, adoption)
        if quota is not None:
            organization = replace(organization, quota=quota.texts())
        namespace = organization.namespace or namespace_of(organization.slug)
        seen = Observation().after(Look(namespace), await self.hands.look(namespace))
        template, now = self.hands.template, organization.read_at
        lines = plan(organization, seen, template, now=now)
        progress = decide(organization, seen, template, now=now).progress
        if progress is not None and progress.error is not None:
            raise failed(progress.error, "Nothing was changed.")
        if organization.state is State.PROVISIONING:
            Quota.read(organization.quota)  # raises where it would wait for somebody to mend the rows
        return lines

    async def _planned(self, wanted: CreateOrganization | str) -> Organization:
        if isinstance(wanted, str):
            return await self.rows.get(wanted)
        try:
            await self.rows.get(wanted.slug)
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
                read_at=datetime.now(UTC),
            )
        raise NameTakenError(f"there is an organization {wanted.slug!r} already. Choose another name.")


def _asked_for(organization: Organization, kind: OperationKind, adoption: Adoption) -> Organization:
    """As it would be right after the request; refused as the database would."""
    to, possible = _MOVES[kind]
    over = kind is OperationKind.RESTORE and (organization.purge_after or NEVER) <= organization.read_at
    if organization.state not in possible or over:
        late = " after its retention" if over and organization.state in possible else ""
        raise WrongStateError(
            f'organization "{organization.slug}" is {organization.state}: {kind} is not possible{late}. '
            "Look at its state, then ask for what is possible."
        )
    if organization.deletion_protected and kind in {OperationKind.OFFBOARD, OperationKind.PURGE}:
        raise DeletionProtectedError(
            f'organization "{organization.slug}" is protected from deletion. '
            "Lift that first: protect(..., protected=False), or unprotect."
        )
    return replace(
        organization,
        state=to or organization.state,
        generation=organization.generation + 1,
        attempts=0,
        isolation_receipt=None if to is State.PROVISIONING else organization.isolation_receipt,
        operation=Operation(
            uuid4(),
            organization.slug,
            kind,
            OperationState.RUNNING,
            "planned",
            {"adoption": adoption.value},
            organization.generation + 1,
            "plan",
            None,
            organization.read_at,
        ),
    )
