"""Fixtures for pytest, there for whoever has hotconfig installed. Switch them off with ``-p no:hotconfig``.

Loaded in every pytest run of theirs: nothing but pytest is imported here before a fixture is used.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from hotconfig.runtime.client import HotConfig
    from hotconfig.testing.memory.client import MemoryHotConfig
    from hotconfig.testing.places import Servers


class OverrideForTest(Protocol):
    """The type of the fixture ``hotconfig_override``."""

    def __call__(
        self, settings: BaseModel | type[BaseModel], values: Mapping[str, object] = ..., /, **keys: object
    ) -> None:
        """Override values until the test is over; see :func:`hotconfig.testing.override`."""
        ...


@pytest.fixture
def hotconfig_override() -> Generator[OverrideForTest]:
    """``hotconfig_override(ai, threshold=0.9)`` holds until the test is over: :func:`hotconfig.testing.override`."""
    from hotconfig.testing.overriding import override  # noqa: PLC0415 - see the module

    with ExitStack() as stack:

        def enter(settings: Any, values: Mapping[str, object] | None = None, /, **keys: object) -> None:
            stack.enter_context(override(settings, values or {}, **keys))

        yield enter


@pytest.fixture
def hotconfig_memory() -> Generator[MemoryHotConfig]:
    """A started ``HotConfig`` without servers, empty, for one test. See :func:`hotconfig.testing.in_memory`."""
    from hotconfig.testing.memory.client import in_memory  # noqa: PLC0415 - see the module

    with in_memory() as made:
        yield made


@pytest.fixture(scope="session")
def hotconfig_servers() -> Generator[Servers]:
    """PostgreSQL and Redis for the session: the environment's, else embedded ones, else the tests are skipped.

    Under pytest-xdist each worker has embedded servers of its own. See :func:`hotconfig.testing.servers`.
    """
    from hotconfig.core.errors import EmbeddedServerError  # noqa: PLC0415 - see the module
    from hotconfig.testing.places import NOTHING_TO_TEST_ON, servers  # noqa: PLC0415

    with ExitStack() as stack:
        try:
            running = stack.enter_context(servers(worker=os.environ.get("PYTEST_XDIST_WORKER", "main")))
        except EmbeddedServerError as error:
            pytest.skip(f"{NOTHING_TO_TEST_ON} ({error})")
        yield running


@pytest.fixture
def hotconfig_client(hotconfig_servers: Servers) -> Generator[HotConfig]:
    """A started ``HotConfig`` on :func:`hotconfig_servers`, for one test, in an empty schema of its own."""
    with hotconfig_servers.client() as made:
        yield made
