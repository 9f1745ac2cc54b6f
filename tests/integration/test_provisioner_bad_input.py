"""What cannot be is refused before anything is sent, with what to do, and nothing of it is stored."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hotconfig.core.errors import HotConfigError
from hotconfig.provisioner import CreateOrganization, Provisioner, Quota, State
from hotconfig.provisioner.errors import (
    InvalidNameError,
    InvalidQuantityError,
    InvalidRequestError,
    KubernetesDeniedError,
    UnknownOrganizationError,
)
from hotconfig.testing.kubernetes import KubernetesDouble
from tests.support.provisioners import LARGER, Site, acme

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
Ask = Callable[[Provisioner], Awaitable[object]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provisioner(site: Site) -> AsyncGenerator[Provisioner]:
    async with site.provisioner() as made:
        yield made


BAD: list[tuple[Ask, type[HotConfigError], str]] = [
    (lambda p: p.suspend("acme", by=""), InvalidRequestError, "by must be a text of 1 to 256"),
    (lambda p: p.suspend("acme", by="x" * 257), InvalidRequestError, "by must be a text of 1 to 256"),
    (lambda p: p.suspend("acme", by="a\0"), InvalidRequestError, "NUL"),
    (lambda p: p.suspend("acme", by="a\ud800"), InvalidRequestError, "half a character"),
    (lambda p: p.suspend("acme", by="a", reason="a\0"), InvalidRequestError, "reason"),
    (lambda p: p.suspend("acme", by="a", reason="r" * 2001), InvalidRequestError, "0 to 2000"),
    (lambda p: p.suspend("acme", by="a", idempotency_key=""), InvalidRequestError, "idempotency_key"),
    (lambda p: p.suspend("acme", by="a", idempotency_key="k" * 256), InvalidRequestError, "1 to 255"),
    (lambda p: p.suspend("acme", by="a", wait_s=math.nan), InvalidRequestError, "wait_s"),
    (lambda p: p.suspend("acme", by="a", wait_s=-1.0), InvalidRequestError, "wait_s"),
    (lambda p: p.offboard("acme", retention_s=-1, by="a"), InvalidRequestError, "retention_s"),
    (lambda p: p.offboard("acme", retention_s=math.nan, by="a"), InvalidRequestError, "retention_s"),
    (lambda p: p.offboard("acme", retention_s=math.inf, by="a"), InvalidRequestError, "at most"),
    (lambda p: p.protect("acme", by=""), InvalidRequestError, "by"),
    (lambda p: p.list(limit=-1), InvalidRequestError, "limit"),
    (lambda p: p.get(""), UnknownOrganizationError, "Check the name"),
    (lambda p: p.get("a\0"), UnknownOrganizationError, "Check the name"),
    (lambda p: p.history("\u0430cme"), UnknownOrganizationError, "Check the name"),
    (lambda p: p.set_quota("nobody", LARGER, by="a"), UnknownOrganizationError, "nobody"),
    (lambda p: p.plan("nobody"), UnknownOrganizationError, "nobody"),
]


async def test_every_bad_request_is_a_typed_error_and_changes_nothing(provisioner: Provisioner) -> None:
    await provisioner.create_organization(acme(), by="ann", wait_s=30.0)
    before = await provisioner.get("acme"), await provisioner.history("acme")
    for number, (ask, kind, said) in enumerate(BAD):
        with pytest.raises(kind, match=said):
            await ask(provisioner)
        assert (await provisioner.get("acme"), await provisioner.history("acme")) == before, number


async def test_an_argument_that_no_request_takes_is_named(provisioner: Provisioner) -> None:
    suspend: Any = provisioner.suspend
    with pytest.raises(TypeError, match="idempotncy_key: a request takes by, idempotency_key"):
        await suspend("acme", by="ann", idempotncy_key="k")
    with pytest.raises(TypeError, match="missing keyword argument by"):
        await suspend("acme")


@pytest.mark.parametrize("slug", ["kube-evil", "default", "x" * 60, "Acme", "-a", "\u0430cme"])
async def test_a_bad_name_never_reaches_the_provisioner(slug: str) -> None:
    with pytest.raises(InvalidNameError):
        CreateOrganization(slug, "Acme", "ann@acme.example")


@pytest.mark.parametrize("cpu", ["-1", "plenty", "", "1e99", "1000001", "٣"])
async def test_a_bad_quantity_never_reaches_the_provisioner(cpu: str) -> None:
    with pytest.raises(InvalidQuantityError):
        Quota(cpu, "1Gi", "1Gi")


async def test_a_missing_permission_names_the_verb_the_resource_and_the_manifest(
    migrated_url: str, tmp_path: Path
) -> None:
    with KubernetesDouble(provisioner_rules=None) as double:
        async with Site(migrated_url, double, tmp_path).provisioner() as provisioner:
            with pytest.raises(
                KubernetesDeniedError, match=r"'create' on 'namespaces'.*hotconfig-provisioner manifests"
            ):
                await provisioner.create_organization(acme(), by="ann", wait_s=30.0)
            assert (await provisioner.get("acme")).state is State.FAILED, "reported, not half made"
