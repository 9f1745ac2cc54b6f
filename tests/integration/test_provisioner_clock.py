"""What is due is told by PostgreSQL's clock: a worker whose own is wrong waits no longer and deletes nothing early."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hotconfig.provisioner import State, preview, probes
from hotconfig.testing.kubernetes import KubernetesDouble
from tests.support.provisioners import ACME, Site, acme

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
WAIT_S = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Fast(datetime):
    """A clock that is a hundred years fast."""

    @classmethod
    def now(cls, tz: Any = None) -> Fast:
        return cls(2126, 1, 1, tzinfo=tz or UTC)


async def test_a_clock_that_is_fast_ends_no_retention(
    migrated_url: str, kubernetes_double: KubernetesDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(migrated_url, kubernetes_double, tmp_path)
    for module in (preview, probes):
        monkeypatch.setattr(module, "datetime", Fast)
    async with site.provisioner() as provisioner:
        await provisioner.create_organization(acme(), by="ann", wait_s=WAIT_S)
        await provisioner.offboard("acme", retention_s=3600, by="ann", wait_s=WAIT_S)
        cycle = await provisioner.reconcile_once()
        assert cycle.deleted == ()
        assert (await provisioner.get("acme")).state is State.OFFBOARDING
        assert await provisioner.plan("acme") == ()
    assert site.double.get(ACME) is not None


def test_no_other_module_of_the_provisioner_reads_a_wall_clock() -> None:
    """Those two only date what is new: an organization that is not there yet, and a receipt."""
    home = Path(preview.__file__).parent
    readers = {path.name for path in home.rglob("*.py") if "datetime.now" in path.read_text(encoding="utf-8")}
    assert readers == {"preview.py", "probes.py"}
