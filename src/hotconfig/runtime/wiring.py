"""Which parts a process is made of, from its URLs. The only place that names the adapters.

Drivers are imported when something is made here, so that importing hotconfig stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from hotconfig.core.listeners import Changed
from hotconfig.core.wire import Keyring
from hotconfig.runtime.follower import Follower, Timing
from hotconfig.runtime.link import OpenSubscription
from hotconfig.runtime.publishing import Deliver, Publisher


class Environment(BaseSettings):
    """What ``HotConfig.from_env`` reads: ``HOTCONFIG_DATABASE_URL``, ``HOTCONFIG_REDIS_URL`` and so on."""

    model_config = SettingsConfigDict(env_prefix="HOTCONFIG_", extra="ignore")

    database_url: str | None = None
    redis_url: str | None = None
    schema_name: str = Field(default="hotconfig", validation_alias="HOTCONFIG_SCHEMA")
    subscribe_all: bool = False
    listen: bool = True


@dataclass(frozen=True, slots=True)
class Wiring:
    """The URLs, kept out of any repr, and what is made from them."""

    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    schema: str
    subscribe_all: bool
    listen: bool

    def follower(self, tell: Callable[[Changed[Any]], None], timing: Timing) -> Follower:
        """The reading side. Does no I/O.

        Raises:
            ConfigurationError: the schema's name or Redis's URL cannot be used.
        """
        from hotconfig.postgres.migrate import check_schema_name  # noqa: PLC0415
        from hotconfig.postgres.truth import PostgresReader  # noqa: PLC0415

        reader = PostgresReader(self.database_url, schema=check_schema_name(self.schema))
        return Follower(reader, self._subscription(), self._listener(), tell, timing)

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

    def publisher(self, keyring: Callable[[], Keyring], deliver: Deliver) -> Publisher:
        """The writing side. Does no I/O. ``deliver`` hears of every commit."""
        from hotconfig.postgres.truth import PostgresWriter  # noqa: PLC0415

        writer = PostgresWriter(self.database_url, schema=self.schema)
        if self.redis_url is None:
            return Publisher(writer, None, keyring, deliver)
        from hotconfig.redis.publish import RedisAnnouncer  # noqa: PLC0415

        return Publisher(writer, RedisAnnouncer(self.redis_url), keyring, deliver)
