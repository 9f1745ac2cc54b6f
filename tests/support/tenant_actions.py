"""What is asked of a provisioner in tests that interrupt it; asked again, it is the same request."""

from __future__ import annotations

from typing import Any, Final

from hotconfig.provisioner import Adoption, CreateOrganization, Provisioner, Quota
from hotconfig.provisioner.errors import NamespaceConflictError

WAIT_S: Final = 60.0


def asking(slug: str, name: str) -> dict[str, Any]:
    return {"by": "ann", "idempotency_key": f"{name}-{slug}", "wait_s": WAIT_S}


async def create(provisioner: Provisioner, slug: str) -> None:
    await provisioner.create_organization(CreateOrganization(slug, "T", "t@t.example"), **asking(slug, "create"))


async def refused(provisioner: Provisioner, slug: str) -> None:
    try:
        await create(provisioner, slug)
    except NamespaceConflictError:
        return
    raise AssertionError("a stranger's namespace was taken")


async def quota(provisioner: Provisioner, slug: str) -> None:
    await provisioner.set_quota(slug, Quota("20", "40Gi", "50Gi"), **asking(slug, "quota"))


async def suspend(provisioner: Provisioner, slug: str) -> None:
    await provisioner.suspend(slug, **asking(slug, "suspend"))


async def resume(provisioner: Provisioner, slug: str) -> None:
    await provisioner.resume(slug, **asking(slug, "resume"))


async def offboard(provisioner: Provisioner, slug: str) -> None:
    await provisioner.offboard(slug, **asking(slug, "offboard"))


async def restore(provisioner: Provisioner, slug: str) -> None:
    await provisioner.restore(slug, **asking(slug, "restore"))


async def purge(provisioner: Provisioner, slug: str) -> None:
    await provisioner.purge(slug, **asking(slug, "purge"))


async def adopt(provisioner: Provisioner, slug: str) -> None:
    await provisioner.adopt(slug, policy=Adoption.ALWAYS, **asking(slug, "adopt"))
