"""Which parts a process is made of, from its URLs. The only place that names the adapters.

Drivers are imported when something is made here, so that importing hotconfig stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from hotconfig.core.errors import ConfigurationError
from hotconfig.core.lastgood import StartPolicy
from hotconfig.core.observing import Observer
from hotconfig.core.problems import one_line, problems
from hotconfig.core.wire import Keyring
from hotconfig.runtime.dispatch import Dispatcher
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.keeping import Shelf
from hotconfig.runtime.link import OpenSubscription
from hotconfig.runtime.publishing import Deliver, Publisher
from hotconfig.runtime.relay import Relay, Tell
from hotconfig.runtime.timing import Timing


class Environment(BaseSettings):
    """What ``HotConfig.from_env`` reads: ``HOTCONFIG_DATABASE_URL``, ``HOTCONFIG_REDIS_URL`` and so on."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="HOTCONFIG_", extra="ignore")

    database_url: str | None = None
    redis_url: str | None = None
    schema_name: str = Field(default="hotconfig", validation_alias="HOTCONFIG_SCHEMA")
    subscribe_all: bool = False
    listen: bool = True
    relay: bool = False
    start_policy: StartPolicy = "fail"
    last_known_good: str | None = None

    @classmethod
    def read(cls) -> Self:
        """Read it now.

        Raises:
            ConfigurationError: a variable is not what it should be.
        """
        try:
            return cls()
        except ValidationError as error:
            said = one_line({f"HOTCONFIG_{key.upper()}": why for key, why in problems(error).items()})
            raise ConfigurationError(f"the environment cannot be read: {said}") from None


@dataclass(frozen=True, slots=True)
class Wiring:
    """The URLs, kept out of any repr, and what is made from them."""

    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    schema: str
    subscribe_all: bool
    listen: bool

    def observer(self) -> Observer:
        """Whoever watches: OpenTelemetry, which does nothing unless the application installed its SDK."""
        from hotconfig.telemetry.observer import OpenTelemetryObserver  # noqa: PLC0415

        return OpenTelemetryObserver()

    def follower(self, dispatcher: Dispatcher, timing: Timing, observer: Observer) -> Follower:
        """The reading side. Does no I/O.

        Raises:
            ConfigurationError: the schema's name or Redis's URL cannot be used.
        """
        from hotconfig.postgres.migrate import check_schema_name  # noqa: PLC0415
        from hotconfig.postgres.truth import PostgresReader  # noqa: PLC0415

        reader = PostgresReader(self.database_url, schema=check_schema_name(self.schema))
        follower = Follower(reader, self._subscription(), self._listener(), dispatcher.tell, timing, observer=observer)
        follower.look_after(dispatcher.mend)
        return follower

    def _subscription(self) -> OpenSubscription | None:
        if self.redis_url is None:
            return None
        from hotconfig.redis.connect import find_route  # noqa: PLC0415
        from hotconfig.redis.sharded import open_subscription  # noqa: PLC0415

        subscribe_all = self.subscribe_all
        route = find_route(self.redis_url)  # a URL that cannot be read fails here, at once
        return lambda services: open_subscription(route, services, subscribe_all=subscribe_all)

    def _listener(self) -> OpenSubscription | None:
        if not self.listen:
            return None
        from hotconfig.postgres.listen import PostgresListener  # noqa: PLC0415

        url, schema = self.database_url, self.schema
        return lambda _: PostgresListener.open(url, schema)

    def publisher(self, keyring: Callable[[], Keyring], deliver: Deliver, observer: Observer) -> Publisher:
        """The writing side. Does no I/O. ``deliver`` hears of every commit."""
        from hotconfig.postgres.truth import PostgresWriter  # noqa: PLC0415

        writer = PostgresWriter(self.database_url, schema=self.schema)
        if self.redis_url is None:
            return Publisher(writer, None, keyring, deliver, observer=observer)
        from hotconfig.redis.publish import RedisAnnouncer  # noqa: PLC0415

        return Publisher(writer, RedisAnnouncer(self.redis_url), keyring, deliver, observer=observer)

    def relay(self, tell: Tell = lambda _: None) -> Relay:
        """A candidate for the role of the relay. Does no I/O.

        Raises:
            ConfigurationError: there is no Redis, or the schema's name or Redis's URL cannot be used.
        """
        from hotconfig.postgres.migrate import check_schema_name  # noqa: PLC0415
        from hotconfig.postgres.relayed import PostgresRelaySession  # noqa: PLC0415

        if self.redis_url is None:
            raise ConfigurationError(
                "a relay carries commits from PostgreSQL to Redis, and no Redis is configured: set HOTCONFIG_REDIS_URL"
            )
        from hotconfig.redis.connect import find_route  # noqa: PLC0415
        from hotconfig.redis.publish import RedisAnnouncer  # noqa: PLC0415
        from hotconfig.redis.subscribe import RedisSubscription  # noqa: PLC0415

        database_url, schema = self.database_url, check_schema_name(self.schema)
        route = find_route(self.redis_url)  # a URL that cannot be read fails here, at once
        return Relay(
            lambda: PostgresRelaySession.open(database_url, schema),
            lambda _: RedisSubscription.open(route, (), subscribe_all=True),
            RedisAnnouncer(self.redis_url),
            tell,
        )

    def shelf(self, directory: Path) -> Shelf:
        """Where this database's last-known-good files are kept."""
        from hotconfig.postgres.address import describe  # noqa: PLC0415

        return Shelf(directory, self.schema, describe(self.database_url))
