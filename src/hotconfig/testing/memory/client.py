"""A ``HotConfig`` on a truth and a channel in memory: all of the runtime, and no server.

Owns the wiring. Line, threads, listeners, store and states are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from hotconfig.core.errors import ConfigurationError, UsageError
from hotconfig.core.observing import Observer
from hotconfig.core.wire import Keyring
from hotconfig.runtime.client import HotConfig
from hotconfig.runtime.dispatch import Dispatcher
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.publishing import Deliver, Publisher
from hotconfig.runtime.relay import Relay, Tell
from hotconfig.runtime.timing import Timing
from hotconfig.runtime.wiring import Wiring
from hotconfig.testing.memory.pair import Memory, S

DATABASE_URL: Final = "postgresql://in-memory"
REDIS_URL: Final = "redis://in-memory"
"""Nobody connects to either."""


class MemoryHotConfig(HotConfig):
    """A :class:`hotconfig.HotConfig` without servers; see :func:`in_memory`, which makes one.

    Attributes:
        memory: The truth and the channel that it shares with its :meth:`Memory.client` fellows.
    """

    def __init__(self, memory: Memory, *, timing: Timing | None = None) -> None:
        redis_url = None if memory.channel is None else REDIS_URL
        super().__init__(DATABASE_URL, redis_url, timing=timing)
        self.memory = memory
        self._wiring = MemoryWiring(DATABASE_URL, redis_url, "hotconfig", False, True, memory)

    @classmethod
    def from_env(cls, *, timing: Timing | None = None) -> NoReturn:  # noqa: ARG003 - as the base has it
        """There is nothing in the environment to make one from: raises ``UsageError``."""
        raise UsageError("a HotConfig in memory is not made from the environment: call hotconfig.testing.in_memory()")


def in_memory(
    stored: Mapping[S, Mapping[str, object]] | None = None, *, redis: bool = True, timing: Timing | None = None
) -> MemoryHotConfig:
    """A ``HotConfig`` for unit tests of services, without any server: ``with in_memory({"ai": {...}}) as hc: ...``.

    What is beneath is a list of commits and a list of subscribers in this process; everything else is the real thing:
    ``bind``, ``store``, ``on_change``, ``changes``, ``wait_for``, ``status``, probes and states behave, wait and raise
    as with servers. ``hc.memory`` shows what is stored, writes as other programs do, and takes servers away. What lies
    in files and in PostgreSQL alone is not there: start policies, the relay, organizations, hand-written SQL.

    Args:
        stored: What PostgreSQL holds at the beginning: by service the texts by key, as they stand in the table; or by
            settings class the values by key.
        redis: Whether there is a Redis; if not, clients hear of commits through PostgreSQL.
        timing: How often to compare with PostgreSQL.

    Raises:
        ConfigurationError: names or texts that the tables would refuse.
        InvalidValueError, UnknownKeyError, SecretValueError, DeclarationError: of a class's values, as ``store.set``.
    """
    return MemoryHotConfig(Memory(stored, redis=redis), timing=timing)


@dataclass(frozen=True, slots=True)
class MemoryWiring(Wiring):
    """The parts of a process, made from memory."""

    memory: Memory

    def follower(self, dispatcher: Dispatcher, timing: Timing, observer: Observer) -> Follower:
        """The reading side."""
        truth, channel = self.memory.truth, self.memory.channel
        follower = Follower(
            truth,
            None if channel is None else channel.open,
            lambda _: truth.listen(),
            dispatcher.tell,
            timing,
            observer=observer,
        )
        follower.look_after(dispatcher.mend)
        return follower

    def publisher(self, keyring: Callable[[], Keyring], deliver: Deliver, observer: Observer) -> Publisher:
        """The writing side."""
        return Publisher(self.memory.truth, self.memory.channel, keyring, deliver, observer=observer)

    def relay(self, tell: Tell = lambda _: None) -> Relay:  # noqa: ARG002 - as the base has it
        """There is none.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("there is no relay in memory: write with memory.write(...), which announces")
