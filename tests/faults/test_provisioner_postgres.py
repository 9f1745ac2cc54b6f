"""PostgreSQL is lost between the steps of a tenant's creation: what was asked for is carried out all the same, once."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from hotconfig.core.errors import DatabaseUnavailableError
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.migrate import migrate
from hotconfig.provisioner import Provisioner, State
from hotconfig.provisioner.errors import LeaseLostError
from hotconfig.testing.kubernetes import Call, KubernetesDouble
from tests.support.fault_proxy import CLEAR, Cut, FaultProxy, Proxies, Weather
from tests.support.provisioners import Site, acme, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

WAIT_S = 30.0
CALLS = 9
"""Those of a creation to Kubernetes, where it fills the quota's status itself."""
EVENTS = ["create", "active"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def proxy(migrated_url: str) -> Generator[FaultProxy]:
    """In front of PostgreSQL."""
    server = conninfo.conninfo_to_dict(migrated_url)
    with Proxies() as proxies:
        yield proxies.open(str(server["host"]), int(str(server["port"])))


@pytest.fixture
def site(migrated_url: str, kubernetes_double: KubernetesDouble, tmp_path: Path) -> Site:
    kubernetes_double.pace.is_running = False
    return Site(migrated_url, kubernetes_double, tmp_path)


@pytest.fixture
async def provisioner(site: Site, proxy: FaultProxy) -> AsyncGenerator[Provisioner]:
    """Behind the proxy; what was sent to open it is not counted."""
    direct = site.database_url
    site.database_url = conninfo.make_conninfo(direct, port=proxy.port)
    made = site.provisioner()
    site.database_url = direct
    async with made:
        site.double.log.clear()
        yield made


def at_call(site: Site, number: int, then: Callable[[], object]) -> None:
    """Do it when Kubernetes has carried out so many of the provisioner's calls, before it answers."""
    lock, left = threading.Lock(), [number]

    def count(call: Call) -> None:
        with lock:
            left[0] -= call.user == "provisioner"
            if left[0] == 0:
                left[0] -= 1
                then()

    site.double.log.on_call = count


async def ask(provisioner: Provisioner) -> None:
    """Once; that the database was away may be told, or nobody could carry it on within the time."""
    try:
        await provisioner.create_organization(acme(), by="ann", idempotency_key="k", wait_s=WAIT_S)
    except (DatabaseUnavailableError, LeaseLostError):
        return


async def ends_well(site: Site, provisioner: Provisioner) -> None:
    """The caller asks again with the same key; then there is one tenant, made by one operation, told once."""
    site.double.log.on_call = None
    with psycopg.connect(site.database_url, autocommit=True) as connection:  # as time would have it
        connection.execute("UPDATE hotconfig.organizations SET lease_until = now() WHERE lease_until > now()")

    async def finished() -> bool:
        again = await provisioner.create_organization(acme(), by="ann", idempotency_key="k", wait_s=WAIT_S)
        return again.finished

    await until(finished)
    organization = await provisioner.get("acme")
    assert (organization.state, organization.conditions) == (State.ACTIVE, ())
    site.assert_open()
    moves = [past.event for past in reversed(await provisioner.history("acme"))]
    assert len(moves) == len(set(moves)), moves
    with psycopg.connect(site.database_url) as connection:
        (operations,) = connection.execute("SELECT state FROM hotconfig.organization_operations").fetchall()
        assert operations == ("done",)
        (times,) = connection.execute(
            "SELECT count(*) FROM hotconfig.config_history GROUP BY key HAVING key = 'quota_cpu'"
        )
        assert times == (1,)
    created = [call for call in site.double.log.calls(method="POST", path="/namespaces$") if call.code == 201]
    assert len(created) == 1
    assert (await provisioner.reconcile_once()).worked == ()


@pytest.mark.parametrize("number", range(1, CALLS + 1))
async def test_a_cut_connection_is_made_anew(
    site: Site, proxy: FaultProxy, provisioner: Provisioner, number: int
) -> None:
    at_call(site, number, proxy.cut)
    result = await provisioner.create_organization(acme(), by="ann", idempotency_key="k", wait_s=WAIT_S)
    assert result.organization.state is State.ACTIVE, "nobody noticed"
    await ends_well(site, provisioner)


@pytest.mark.parametrize("number", [1, 5, CALLS])
async def test_a_database_that_is_away_is_told_and_another_time_it_ends_well(
    site: Site, proxy: FaultProxy, provisioner: Provisioner, number: int
) -> None:
    def lose() -> None:
        proxy.change(Weather(refusing=True))
        proxy.cut()

    at_call(site, number, lose)
    with pytest.raises(DatabaseUnavailableError):
        await provisioner.create_organization(acme(), by="ann", idempotency_key="k", wait_s=WAIT_S)
    with pytest.raises(DatabaseUnavailableError):
        await provisioner.reconcile_once()
    proxy.change(CLEAR)
    await ends_well(site, provisioner)


@pytest.mark.parametrize("where", Cut)
async def test_a_commit_whose_answer_is_lost_is_made_once(
    site: Site, proxy: FaultProxy, provisioner: Provisioner, where: Cut
) -> None:
    await provisioner.list()  # connected, so that it is the request's own exchange that is cut
    proxy.cut_next(where)
    await ask(provisioner)
    assert proxy.cut_done.is_set()
    await ends_well(site, provisioner)


@pytest.mark.parametrize("where", Cut)
async def test_a_step_whose_record_is_lost_is_recorded_once(
    site: Site, proxy: FaultProxy, provisioner: Provisioner, where: Cut
) -> None:
    at_call(site, CALLS, lambda: proxy.cut_next(where))
    await ask(provisioner)
    assert proxy.cut_done.is_set()
    await ends_well(site, provisioner)


async def test_a_server_that_restarts_between_steps_is_waited_for(
    own_postgres: EmbeddedPostgres, kubernetes_double: KubernetesDouble, tmp_path: Path
) -> None:
    migrate(own_postgres.url, schema="hotconfig")
    kubernetes_double.pace.is_running = False
    site = Site(own_postgres.url, kubernetes_double, tmp_path)
    restarted = threading.Event()

    def restart() -> None:
        own_postgres.kill()
        own_postgres.restart()
        restarted.set()

    async with site.provisioner() as provisioner:
        site.double.log.clear()
        thread = threading.Thread(target=restart, name="restart")
        at_call(site, 2, thread.start)
        await ask(provisioner)
        thread.join(120)
        assert restarted.is_set()
        await ends_well(site, provisioner)
