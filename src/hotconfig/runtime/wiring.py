"""Which parts a process is made of, from its URLs. The only place that names the adapters.

Drivers are imported when something is made here, so that importing hotconfig stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from hotconfig.core.wire import Keyring
from hotconfig.runtime.dispatch import Dispatcher
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

    def follower(self, dispatcher: Dispatcher, timing: Timing) -> Follower:
        """The reading side. Does no I/O.

        Raises:
            ConfigurationError: the schema's name or Redis's URL cannot be used.
        """
        from hotconfig.postgres.migrate import check_schema_name  # noqa: PLC0415
        from hotconfig.postgres.truth import PostgresReader  # noqa: PLC0415

        reader = PostgresReader(self.database_url, schema=check_schema_name(self.schema))
        follower = Follower(reader, self._subscription(), self._listener(), dispatcher.tell, timing)
        follower.look_after(dispatcher.mend)
        return follower

    def _subscription(self) -> OpenSubscription | None:
        if self.redis_url is None:
            return None
        from hotconfig.redis.connect import open_client  # noqa: PLC0415
        from hotconfig.redis.subscribe import RedisSubscription  # noqa: PLC0415

        url, subscribe_all = self.redis_url, self.subscribe_all
        open_client(url, client_name="hotconfig").close()  # a URL that cannot be read fails here, at once
        return lambda services: RedisSubscription.open(url, services, subscribe_all=subscribe_all)

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
