"""Where the demo runs: on embedded servers of its own, or on servers that are there.

Owns the choice and the tables' schema. Must not know what is done on them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from hotconfig.core.errors import UsageError
from hotconfig.demo.services import STEPS
from hotconfig.postgres.migrate import DEFAULT_SCHEMA, migrate

DEMO_SCHEMA: Final = "hotconfig_demo"
"""On servers that are there: nothing that belongs to anybody else is touched."""


@dataclass(frozen=True, slots=True)
class Place:
    """Two servers with hotconfig's tables in ``schema``. ``own``: they were started for the demo."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    schema: str
    own: bool

    @property
    def environment(self) -> dict[str, str]:
        """What ``HotConfig.from_env`` reads."""
        return {
            "HOTCONFIG_DATABASE_URL": self.database_url,
            "HOTCONFIG_REDIS_URL": self.redis_url,
            "HOTCONFIG_SCHEMA": self.schema,
            "HOTCONFIG_SUBSCRIBE_ALL": "false",
        }


@contextmanager
def open_place(
    database_url: str | None, redis_url: str | None, *, on_progress: Callable[[str], None]
) -> Generator[Place]:
    """Lend a place, ready for use. Its own servers are gone with the block.

    Raises:
        UsageError: one URL was given without the other.
        EmbeddedServerError: there is no embedded server for this platform, or one does not start.
        DatabaseUnavailableError, AccessDeniedError, ConfigurationError: of the servers that were named.
    """
    if database_url and redis_url:
        yield _given(Place(database_url, redis_url, DEMO_SCHEMA, own=False), on_progress)
    elif database_url or redis_url:
        given, missing = ("--database-url", "--redis-url") if database_url else ("--redis-url", "--database-url")
        raise UsageError(
            f"{given} was given without {missing}: give both to run the demo on servers that are there, "
            "or neither to run it on embedded ones"
        )
    else:
        from hotconfig.embedded import servers  # noqa: PLC0415 - raises where the platform has none

        with servers(on_progress=on_progress) as running:
            place = Place(running.database_url, running.redis_url, DEFAULT_SCHEMA, own=True)
            migrate(place.database_url, place.schema)
            yield place


def _given(place: Place, on_progress: Callable[[str], None]) -> Place:
    services = ", ".join(dict.fromkeys(step.service for step in STEPS))
    on_progress(f"using the servers given; tables go into the schema {place.schema!r}, and stay there")
    on_progress(f"publishing there for the services {services}: other programs that subscribe to these hear it too")
    migrate(place.database_url, place.schema)
    return place
