"""A PostgreSQL and a Redis in memory that belong together, and what can happen to them in a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from hotconfig.core.chain import Change, Recorded
from hotconfig.core.declaration import service_of
from hotconfig.core.text import TextRules
from hotconfig.runtime.publishing import Commit, Publisher
from hotconfig.runtime.timing import Timing
from hotconfig.testing.memory.channel import MemoryChannel
from hotconfig.testing.memory.truth import MemoryTruth

if TYPE_CHECKING:
    from hotconfig.testing.memory.client import MemoryHotConfig

Service = str | type[BaseModel]
S = TypeVar("S", bound=str | type[BaseModel])

BY = "memory"


class Outage:
    """Something is away: until the end of the ``with`` block, or until it is said to be back."""

    def __init__(self, back: Callable[[], None]) -> None:
        self._back = back

    def __enter__(self) -> None:
        """It began with the call that returned this."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is over."""
        self._back()


class Memory:
    """What any number of clients of one test share. Any thread; no call blocks.

    Args:
        stored: What PostgreSQL holds at the beginning: by service the texts by key, as they stand in the table; or by
            settings class the values by key, as ``store.set`` takes them. One commit for each service.
        redis: Whether there is a Redis.

    Attributes:
        truth: What stands for PostgreSQL.
        channel: What stands for Redis; None without one.

    Raises:
        ConfigurationError: names or texts that the tables would refuse.
        InvalidValueError, UnknownKeyError, SecretValueError, DeclarationError: of a class's values, as ``store.set``.
    """

    def __init__(self, stored: Mapping[S, Mapping[str, object]] | None = None, *, redis: bool = True) -> None:
        self.truth = MemoryTruth()
        self.channel = MemoryChannel() if redis else None
        for service, values in (stored or {}).items():
            self.truth.commit(_name(service), *_changes(service, values), by=BY)

    def client(self, *, timing: Timing | None = None) -> MemoryHotConfig:
        """A further client, not started: it stands for another process. ``with memory.client() as other: ...``."""
        from hotconfig.testing.memory.client import MemoryHotConfig  # noqa: PLC0415 - each needs the other

        return MemoryHotConfig(self, timing=timing)

    def write(
        self,
        service: Service,
        values: Mapping[str, object],
        /,
        *,
        delete: Iterable[str] = (),
        by: str = BY,
        reason: str | None = None,
        announce: bool = True,
    ) -> Commit:
        """Commit as another program does: nothing validates that the whole class accepts it.

        Args:
            service: Its name, with texts by key; or a settings class, with values as ``store.set`` takes them.
            values: See ``service``.
            delete: Keys that are deleted.
            by: Who.
            reason: Why.
            announce: Whether Redis is told, as a writing program does; else as a person with psql. Clients find such a
                commit when they next ask PostgreSQL, or at once where there is no Redis.

        Raises: as the class; ``DatabaseUnavailableError`` during an outage.
        """
        changes = (*_changes(service, values), *(Change(key, deleted=True) for key in delete))
        channel = self.channel if announce else None
        return Publisher(self.truth, channel).commit(_name(service), changes, by=by, reason=reason)

    def publish(self, channel: str, text: str) -> int:
        """Publish as a person with ``redis-cli`` does; returns how many clients heard it, 0 without a Redis.

        Raises:
            RedisUnavailableError: during an outage.
        """
        return 0 if self.channel is None else self.channel.publish(channel, text.encode())

    def texts(self, service: Service) -> dict[str, str | None]:
        """What PostgreSQL holds, by key."""
        return self.truth.texts(_name(service))

    def history(self, service: Service, *, key: str | None = None) -> list[Recorded]:
        """Who changed what, when and why: a row for each changed key, the newest first."""
        return self.truth.history(_name(service), key=key)

    def database_down(self) -> Outage:
        """PostgreSQL goes away, now: reads and writes raise ``DatabaseUnavailableError``, listening ends.

        It is back after :meth:`database_up`, or at the end of ``with memory.database_down():``. Clients notice by the
        next thing that they ask; what is bound keeps its values.
        """
        self.truth.fail()
        return Outage(self.database_up)

    def database_up(self) -> None:
        """PostgreSQL is back, with everything that was committed. Clients notice within two seconds."""
        self.truth.recover()

    def redis_down(self) -> Outage:
        """Redis goes away, now: connections break, and commits are not announced. Without a Redis nothing happens.

        It is back after :meth:`redis_up`, or at the end of ``with memory.redis_down():``. Meanwhile clients hear of
        commits through PostgreSQL.
        """
        if self.channel is not None:
            self.channel.fail()
        return Outage(self.redis_up)

    def redis_up(self) -> None:
        """Redis is back; what was published meanwhile is lost. Clients notice within a second."""
        if self.channel is not None:
            self.channel.recover()


def _name(service: Service) -> str:
    return service if isinstance(service, str) else service_of(service)


def _changes(service: Service, values: Mapping[str, object]) -> tuple[Change, ...]:
    if isinstance(service, str):
        return tuple(Change(key, _text(service, key, text)) for key, text in values.items())
    rules = TextRules(service)
    return tuple(Change(key, rules.encode(key, value)) for key, value in values.items())


def _text(service: str, key: str, text: object) -> str | None:
    if text is None or isinstance(text, str):
        return text
    raise TypeError(
        f"service {service!r}, key {key!r}: the table holds text, as in an environment variable; give a str, or give "
        "the settings class in place of the service's name"
    )
