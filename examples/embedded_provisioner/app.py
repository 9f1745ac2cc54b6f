"""A small backend that creates tenants, with the provisioner inside. See README.md beside this file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import anyio
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from hotconfig.provisioner import CreateOrganization, Provisioner, Quota, Result
from hotconfig.provisioner.errors import (
    HotConfigError,
    RetryableError,
    TenantRequestError,
    UnknownOrganizationError,
    UsageError,
)

WAIT_S = float(os.environ.get("WAIT_S", "2"))
"""How long a request waits before it answers 202."""

ANSWERS: tuple[tuple[type[Exception], int], ...] = (
    (RetryableError, 503),
    (UnknownOrganizationError, 404),
    (TenantRequestError, 409),
    (UsageError, 422),
)
"""The first that fits; the rest, 500, is for whoever runs the cluster."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One provisioner for the life of the process; it also reconciles, side by side with every other replica."""
    provisioner = Provisioner(
        os.environ["HOTCONFIG_DATABASE_URL"],
        os.environ.get("KUBECONFIG"),
        purger=os.environ.get("PURGER_KUBECONFIG"),
    )
    async with provisioner, anyio.create_task_group() as tasks:
        app.state.provisioner = provisioner
        tasks.start_soon(provisioner.run)
        yield
        tasks.cancel_scope.cancel()


def opened(request: Request) -> Provisioner:
    """The provisioner of this process."""
    found: Provisioner = request.app.state.provisioner
    return found


app = FastAPI(title="Tenants", lifespan=lifespan)
Tenants = Annotated[Provisioner, Depends(opened)]
By = Annotated[str, Header(alias="X-User", description="who asks; take it from your login")]
Key = Annotated[str, Header(alias="Idempotency-Key")]


class QuotaIn(BaseModel):
    """How much a tenant may use, as Kubernetes writes it."""

    cpu: str = "10"
    memory: str = "20Gi"
    storage: str = "10Gi"

    def read(self) -> Quota:
        """Checked; InvalidQuantityError says what is wrong."""
        return Quota(self.cpu, self.memory, self.storage)


class NewTenant(BaseModel):
    """A tenant that is wanted."""

    name: str
    owner_email: str
    quota: QuotaIn = QuotaIn()


@app.exception_handler(HotConfigError)
async def refuse(_: Request, error: HotConfigError) -> JSONResponse:
    """Every error says what to do; its class says whose turn it is."""
    code = next((code for kind, code in ANSWERS if isinstance(error, kind)), 500)
    return JSONResponse({"error": type(error).__name__, "message": str(error)}, code)


@app.put("/tenants/{slug}", status_code=201)
async def create(
    tenants: Tenants, slug: str, wanted: NewTenant, by: By, key: Key, response: Response
) -> dict[str, Any]:
    """Create a tenant: 201 when it stands, 202 when it is on its way. The same key again is the same tenant."""
    new = CreateOrganization(slug, wanted.name, wanted.owner_email, wanted.quota.read())
    result = await tenants.create_organization(new, by=by, idempotency_key=key, wait_s=WAIT_S)
    return _told(result, response)


@app.put("/tenants/{slug}/quota")
async def set_quota(
    tenants: Tenants, slug: str, wanted: QuotaIn, by: By, key: Key, response: Response
) -> dict[str, Any]:
    """Change a quota: 200 when it is in force. ``overused`` tells where it is below what is used."""
    result = await tenants.set_quota(slug, wanted.read(), by=by, idempotency_key=key, wait_s=WAIT_S)
    return _told(result, response)


@app.delete("/tenants/{slug}")
async def offboard(tenants: Tenants, slug: str, by: By, key: Key, response: Response) -> dict[str, Any]:
    """Isolate a tenant at once; it is purged when its retention is over."""
    return _told(await tenants.offboard(slug, by=by, idempotency_key=key, wait_s=WAIT_S), response)


@app.get("/tenants/{slug}")
async def get(tenants: Tenants, slug: str) -> dict[str, Any]:
    """How a tenant is."""
    found = await tenants.get(slug)
    return {
        "state": found.state,
        "settled": found.settled,
        "conditions": [each.as_json() for each in found.conditions],
    }


@app.get("/operations/{operation_id}")
async def follow(tenants: Tenants, operation_id: UUID, response: Response) -> dict[str, Any]:
    """How far an operation is."""
    found = await tenants.operation(operation_id)
    if found is None:
        response.status_code = 404
        return {"message": "there is no such operation"}
    return _told(found, response)


def _told(result: Result, response: Response) -> dict[str, Any]:
    if not result.finished:
        response.status_code = 202
    return {
        "state": result.organization.state,
        "operation": str(result.operation.id),
        "finished": result.finished,
        "overused": dict(result.overused),
    }
