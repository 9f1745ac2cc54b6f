"""Fixtures for all tests. Servers live as long as the test process; databases as long as one test.

Tests that stop, kill or freeze a server take ``own_postgres`` or ``own_valkey``, never the shared ones.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
import redis

from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from hotconfig.testing.kubernetes import KubernetesDouble
from hotconfig.testing.kubernetes.plugin import kubernetes_double  # noqa: F401 - the fixture, as its users have it
from tests.integration.settings import overlook_threads
from tests.support import skips, waiting
from tests.support.databases import FAST, Databases
from tests.support.provisioners import Site
from tests.support.servers import postgres_15_binaries
from tests.support.waiting import Eventually

# How long an example takes says something about the machine. Tests have time limits of their own.
hypothesis.settings.register_profile("hotconfig", deadline=None)
hypothesis.settings.load_profile("hotconfig")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts its background commands deaf to Ctrl-C, and so would be all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

Reports = Generator[None, pytest.TestReport, pytest.TestReport]
CollectReports = Generator[None, pytest.CollectReport, pytest.CollectReport]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Reports:
    report = yield
    skips.forbid(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> CollectReports:
    report = yield
    skips.forbid(report)
    return report


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each ``anyio`` test on both."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def _own_threads() -> None:
    """Each test answers for the threads that it starts itself."""
    overlook_threads()


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """``eventually(predicate, timeout_s=5.0, message="")``: see :mod:`tests.support.waiting`."""
    return waiting.eventually


@pytest.fixture(scope="session")
def postgres() -> Generator[EmbeddedPostgres]:
    """PostgreSQL 18 without durability, shared by all tests of this process."""
    server = EmbeddedPostgres(settings=FAST)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres15() -> Generator[EmbeddedPostgres]:
    """The same with Debian's PostgreSQL 15."""
    server = EmbeddedPostgres(binaries=postgres_15_binaries(), settings=FAST)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["18", "15"])
def any_postgres(request: pytest.FixtureRequest) -> EmbeddedPostgres:
    """Each PostgreSQL there is."""
    server: EmbeddedPostgres = request.getfixturevalue("postgres" if request.param == "18" else "postgres15")
    return server


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Generator[Databases]:
    """Makes databases on PostgreSQL 18, for tests that need several."""
    made = Databases(postgres)
    yield made
    made.close()


@pytest.fixture(scope="session")
def any_databases(any_postgres: EmbeddedPostgres) -> Generator[Databases]:
    """Makes databases on each PostgreSQL there is."""
    made = Databases(any_postgres)
    yield made
    made.close()


@pytest.fixture
def database_url(databases: Databases) -> Generator[str]:
    """The URL of an empty database on PostgreSQL 18."""
    with databases.fresh() as url:
        yield url


@pytest.fixture
def migrated_url(databases: Databases) -> Generator[str]:
    """The URL of a database on PostgreSQL 18 that holds hotconfig's tables."""
    with databases.migrated() as url:
        yield url


@pytest.fixture
def any_database_url(any_databases: Databases) -> Generator[str]:
    """The URL of an empty database, on each PostgreSQL there is."""
    with any_databases.fresh() as url:
        yield url


@pytest.fixture
def any_migrated_url(any_databases: Databases) -> Generator[str]:
    """The URL of a database that holds hotconfig's tables, on each PostgreSQL there is."""
    with any_databases.migrated() as url:
        yield url


@pytest.fixture(scope="session")
def valkey() -> Generator[EmbeddedValkey]:
    """Valkey 9, shared by all tests of this process."""
    server = EmbeddedValkey()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """The URL of a Valkey that holds no keys; subscribers of other tests are gone with those tests."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture
def own_postgres() -> Generator[EmbeddedPostgres]:
    """A PostgreSQL 18 for one test, with the durability of its defaults, to be stopped and killed."""
    server = EmbeddedPostgres()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey() -> Generator[EmbeddedValkey]:
    """A Valkey 9 for one test, to be stopped, killed and frozen."""
    server = EmbeddedValkey()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(migrated_url: str, kubernetes_double: KubernetesDouble, tmp_path: Path) -> Site:  # noqa: F811 - that fixture
    """A PostgreSQL with tables and a Kubernetes double, for provisioners."""
    return Site(migrated_url, kubernetes_double, tmp_path)
