"""Plans for tenants as they stand, or as they would be: reads rows and Kubernetes, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.errors import NameTakenError, UnknownOrganizationError
from hotconfig.provisioner.following import failed
from hotconfig.provisioner.model import CreateOrganization, Organization, Planned, Quota, State
from hotconfig.provisioner.names import namespace_of
from hotconfig.provisioner.observation import Look, Observation
from hotconfig.provisioner.plan import plan
from hotconfig.provisioner.rows import TenantRows
from hotconfig.provisioner.steps import decide


@dataclass(frozen=True, slots=True)
class Preview:
    """Says what carrying out would change."""

    rows: TenantRows
    hands: Hands

    async def plan(self, wanted: CreateOrganization | str, *, quota: Quota | None = None) -> tuple[Planned, ...]:
        """See :meth:`hotconfig.provisioner.Provisioner.plan`."""
        organization = await self._planned(wanted)
        if quota is not None:
            organization = replace(organization, quota=quota.texts())
        namespace = organization.namespace or namespace_of(organization.slug)
        seen = Observation().after(Look(namespace), await self.hands.look(namespace))
        template, now = self.hands.template, organization.read_at
        lines = plan(organization, seen, template, now=now)
        progress = decide(organization, seen, template, now=now).progress
        if progress is not None and progress.error is not None:
            raise failed(progress.error)
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
