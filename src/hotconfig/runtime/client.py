"""``HotConfig``: what an application holds. Starts, binds, tells, waits, closes.

Owns the wiring of the parts and the life cycle. Must not know SQL, Redis commands or how a message is judged.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pydantic import BaseModel

from hotconfig.core.errors import (
    ConfigurationError,
    NotStartedError,
    RetryableError,
    WaitTimeoutError,
)
from hotconfig.core.followed import Followed
from hotconfig.core.lastgood import StartPolicy
from hotconfig.core.listeners import Changed
from hotconfig.core.observing import UNOBSERVED, Observer
from hotconfig.core.status import StateChanged, Status
from hotconfig.runtime import forks, health
from hotconfig.runtime.bindings import Bindings, OnInvalid, field_of
from hotconfig.runtime.dispatch import STATES, Dispatcher, check_callback
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.publishing import Commit, Publisher
from hotconfig.runtime.relay import Relay
from hotconfig.runtime.starting import Starting
from hotconfig.runtime.store import Store, Target
from hotconfig.runtime.surroundings import check_url, refuse_unfit_surroundings, resources
from hotconfig.runtime.timing import Timing
from hotconfig.runtime.wiring import Environment, Wiring
from hotconfig.runtime.worker import ending

if TYPE_CHECKING:
    from hotconfig.runtime.aio import AsyncFace, ChangeStream, EventStream, StateStream

logger: Final = logging.getLogger("hotconfig")

M = TypeVar("M", bound=BaseModel)

START_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
EXIT_TIMEOUT_S: Final = 1.0


class HotConfig:
    """Keeps settings objects equal to what PostgreSQL holds, from a background thread.

    The constructor does no I/O. Use it as a context manager, sync or async, or call :meth:`start` and :meth:`close`.
    All methods may be called from any thread.

    Args:
        database_url: PostgreSQL, as libpq takes it (``postgresql://user:password@host/database``).
        redis_url: ``redis://``, ``rediss://`` or ``unix://``. None: no Redis; see ``listen``.
        schema: The PostgreSQL schema with hotconfig's tables.
        subscribe_all: Subscribe to ``config:*`` instead of one pattern per bound service. Costs every process every
            message; Redis ACLs have to allow that very pattern.
        listen: While there is no Redis, hear of commits through PostgreSQL's ``LISTEN``, on one more connection. Where
            a pooler stands between, that cannot work, and PostgreSQL is polled every ``timing.poll_s`` instead.
        relay: Be a candidate for the role of the relay: of all candidates one announces in Redis what nobody else did,
            such as commits made by psql. Needs Redis, and PostgreSQL without a pooler in between; holds one more
            connection to it.
        timing: How often to compare with PostgreSQL.
        start_policy: When PostgreSQL is away at the start: ``"fail"``, or go on with what was ``"last_known_good"``
            or with the ``"defaults"`` of the classes.
        last_known_good: A directory in which the last known good values are kept, one file per service.

    Raises:
        ConfigurationError: a URL is no text.
        UsageError: there is no such policy, or it needs a directory.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and all of them the environment's words
        self,
        database_url: str,
        redis_url: str | None = None,
        *,
        schema: str = "hotconfig",
        subscribe_all: bool = False,
        listen: bool = True,
        relay: bool = False,
        timing: Timing | None = None,
        start_policy: StartPolicy = "fail",
        last_known_good: str | os.PathLike[str] | None = None,
    ) -> None:
        check_url("database_url", database_url, "postgresql://user:password@host:5432/database")
        if redis_url is not None:
            check_url("redis_url", redis_url, "redis://host:6379/0, or None where there is no Redis")
        self._wiring = Wiring(database_url, redis_url, schema, subscribe_all, listen)
        self._is_candidate = relay
        self._timing = timing or Timing()
        self._starting = Starting(start_policy, last_known_good, self._wiring.shelf)
        self._lock = threading.RLock()
        self._dispatcher = Dispatcher()
        self._observer: Observer = UNOBSERVED
        self._follower: Follower | None = None
        self._publisher: Publisher | None = None
        self._relay: Relay | None = None
        self._bindings = Bindings()
        self._streams: weakref.WeakSet[EventStream[Any]] = weakref.WeakSet()
        self._closed = False
        self._since = datetime.now(UTC)
        self.store: Store = Store(self._get_publisher, self._find, self._refresh)

    @classmethod
    def from_env(cls, *, timing: Timing | None = None) -> Self:
        """Make one from the environment.

        ``HOTCONFIG_DATABASE_URL`` is needed; ``HOTCONFIG_REDIS_URL``, ``HOTCONFIG_SCHEMA``,
        ``HOTCONFIG_SUBSCRIBE_ALL``, ``HOTCONFIG_LISTEN``, ``HOTCONFIG_RELAY``, ``HOTCONFIG_START_POLICY`` and
        ``HOTCONFIG_LAST_KNOWN_GOOD`` stand for the arguments of the class.

        Raises:
            ConfigurationError: ``HOTCONFIG_DATABASE_URL`` is not set, or another is not what it should be.
        """
        found = Environment.read()
        if not found.database_url:
            raise ConfigurationError(
                "HOTCONFIG_DATABASE_URL is not set: give it PostgreSQL's URL, "
                "postgresql://user:password@host:5432/database"
            )
        return cls(
            found.database_url,
            found.redis_url or None,
            schema=found.schema_name,
            subscribe_all=found.subscribe_all,
            listen=found.listen,
            relay=found.relay,
            timing=timing,
            start_policy=found.start_policy,
            last_known_good=found.last_known_good or None,
        )

    # Life cycle --------------------------------------------------------------------------------------------

    def start(self, timeout: float = START_TIMEOUT_S) -> None:
        """Start the background threads and read PostgreSQL once. A second call does nothing.

        Redis need not be there: then the state says so, and PostgreSQL is polled. Blocks for ``timeout`` and no longer,
        even when PostgreSQL is frozen.

        Args:
            timeout: Seconds to wait for PostgreSQL.

        Raises:
            DatabaseUnavailableError: PostgreSQL did not answer in time; not raised unless the start policy is "fail".
            AccessDeniedError, SchemaMissingError, ConfigurationError: mend what the message names.
            NotStartedError: it was closed already; make a new one.
            RetryableError: the system has no thread or no file descriptor to give.
        """
        follower = relay = None
        try:
            with self._lock:
                if self._closed:
                    raise NotStartedError("this HotConfig was closed: make a new one")  # noqa: TRY301
                if self._follower is not None:
                    return
                with resources():
                    refuse_unfit_surroundings()
                    relay = self._wiring.relay() if self._is_candidate else None
                    follower = self._made()
                self._launch(follower)
            self._starting.first_contact(follower, timeout)
            self._become_candidate(relay, timeout)
            with self._lock:
                if not self._closed:  # meanwhile, by another thread
                    self._observer.opened(self.status)
        except BaseException:  # Ctrl-C may come anywhere
            self._abandon(follower, relay)
            raise

    def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """End the threads and close the connections. Live objects keep their last values. May be called twice.

        A listener's call under way is waited for. Changes that it was not told yet are not told any more, even if
        :meth:`wait_for` has seen them: who needs the last one awaits what the listener does before closing. Listeners
        to states still hear of ``CLOSED``.

        Args:
            timeout: Seconds to wait for the threads, in all; what has not ended by then is left to end by itself,
                and a warning says so.
        """
        deadline_s = monotonic() + timeout
        listeners = self._dispatcher.close()  # first: what a listener is refused from now on is not worth a complaint
        with self._lock:
            self._since = self._since if self._closed else datetime.now(UTC)
            self._closed = True
            follower, publisher, relay = self._follower, self._publisher, self._relay
        forks.forget(self)
        atexit.unregister(self.close)
        for stream in tuple(self._streams):
            stream.end()
        if relay is not None:
            relay.stop()
        ended = follower is None or follower.stop(timeout)
        ended = (relay is None or relay.join(max(0.0, deadline_s - monotonic()))) and ended
        ended = self._starting.stop(max(0.0, deadline_s - monotonic())) and ended
        self._dispatcher.end_states()
        ended = all([ended, *(each.join(max(0.0, deadline_s - monotonic())) for each in listeners)])
        if publisher is not None:
            publisher.close()
        self._observer.closed()
        if not ended:
            logger.log(
                logging.DEBUG if ending() else logging.WARNING,
                "hotconfig's threads did not end within %.1f s; is a listener blocked, or PostgreSQL frozen?",
                timeout,
            )

    def revive(self, inherited: list[object]) -> None:
        """Go on in a forked child, with threads and connections of its own. Called there by itself, not by you."""
        inherited += (self._follower, self._publisher, self._dispatcher, self._lock, self._bindings, self._relay)
        self._lock = threading.RLock()
        follower, self._follower = self._follower, None
        publisher, self._publisher = self._publisher, None
        if follower is not None:
            follower.abandon()
        if publisher is not None:
            publisher.abandon()
        self._dispatcher = self._dispatcher.reborn()
        for stream in tuple(self._streams):
            stream.abandon()
        self.store.renew()
        self._bindings = self._bindings.reborn()
        if follower is not None and not self._closed:
            self._relaunch(follower)
            self._observer.opened(self.status)
        if self._relay is not None:
            self._relay.abandon()
            self._relay = None if self._closed else self._wiring.relay()
            if self._relay is not None:
                self._relay.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self.aio.start()
        except BaseException as error:
            if not isinstance(error, Exception):  # cancelled: it may have started, and nobody will leave the block
                await self.aio.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aio.close()

    @cached_property
    def aio(self) -> AsyncFace:
        """What blocks, awaitable, on asyncio and trio: ``await hc.aio.bind(AISettings)``."""
        from hotconfig.runtime.aio import AsyncFace  # noqa: PLC0415 - only async programs need anyio

        return AsyncFace(self)

    # Settings ----------------------------------------------------------------------------------------------

    def bind(
        self,
        settings_class: type[M],
        *,
        pins: Mapping[str, Any] | None = None,
        on_invalid: OnInvalid = "raise",
        timeout: float = START_TIMEOUT_S,
    ) -> M:
        """Load a class's settings from PostgreSQL and keep them live. Returns an instance of the class.

        The instance cannot be assigned to. The same class bound again gives the same object. The class's other
        sources (environment, dotenv, secrets files) are read here, once.

        Args:
            settings_class: A class marked with :func:`hotconfig.settings`.
            pins: Values that win over PostgreSQL in this process, by key; ``status()`` shows the keys.
            on_invalid: ``"raise"`` if what PostgreSQL holds does not validate, or ``"defaults"``: the offending keys
                fall back to what lies below PostgreSQL, which is logged and stands in ``status()``.
            timeout: Seconds to wait for PostgreSQL.

        Raises:
            InvalidStateError: PostgreSQL's values do not validate; ``problems`` lists every offending key.
            DeclarationError: the class is not marked, or another class is bound to its service.
            UnknownKeyError: a pin names no field.
            NotStartedError: ``start()`` was not called.
            DatabaseUnavailableError: no answer in time.
        """
        follower = self._running()
        binding = self._bindings.bind(follower, settings_class, pins, on_invalid)
        return self._starting.loaded(self._bindings, follower, binding, timeout)

    def on_change(
        self,
        settings: M,
        listener: Callable[[Changed[M]], object],
        *,
        key: str | None = None,
    ) -> Callable[[], None]:
        """Call ``listener`` after every real change of the settings, or of one key. Returns a function that ends it.

        Each listener runs on a thread of its own, one event at a time, in order. It may raise (it is logged and
        counted), block, write, bind or close.

        Args:
            settings: The live object.
            listener: Called with a :class:`hotconfig.Changed`.
            key: Only changes of this key.

        Raises:
            NotBoundError, UnknownKeyError.
            NotStartedError: it was closed, so that nothing changes any more.
        """
        check_callback(listener, "on_change", "changes")
        if self._closed:
            raise NotStartedError("this HotConfig was closed: make a new one")
        followed = self._bindings.find(settings)
        keys = None if key is None else frozenset({field_of(followed, key)})
        registered = self._dispatcher.add(followed.service, listener, keys)
        return lambda: self._dispatcher.remove(followed.service, registered)

    def changes(self, settings: M, *, key: str | None = None) -> ChangeStream[M]:
        """Iterate over real changes as they come, on asyncio or trio: ``async for change in hc.changes(ai)``.

        Listening begins with the call, which has to be made where the event loop runs; ``async with`` ends it.

        Raises:
            NotBoundError, UnknownKeyError, NotStartedError: as :meth:`on_change`.
        """
        from hotconfig.runtime.aio import ChangeStream  # noqa: PLC0415 - only async programs need anyio

        stream = ChangeStream[M](lambda put: self.on_change(settings, put, key=key))
        self._streams.add(stream)
        return stream

    def wait_for(self, revision: int | Commit, timeout: float = 5.0, *, settings: Target | None = None) -> None:
        """Wait until this process shows a revision or a newer one.

        Args:
            revision: What ``store`` returned, or a number.
            timeout: Seconds.
            settings: The live object or its class; needed for a number when several classes are bound.

        Raises:
            WaitTimeoutError: it was not seen in time.
            InvalidStateError: it arrived and was rejected here.
        """
        followed = self._bindings.waited_for(revision, settings)
        wanted = revision.revision if isinstance(revision, Commit) else revision
        if not self._running().wait_for(followed, wanted, timeout):
            shown = followed.shown.revision if followed.shown is not None else 0
            raise WaitTimeoutError(
                f"service {followed.service!r}: revision {wanted} was not seen within {timeout} s, it shows {shown}"
            )

    # Probes ------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """How this process stands. Never blocks and asks nobody."""
        follower = self._follower
        if follower is None:
            return Status.before_start(self._since, closed=self._closed)
        since = self._since if self._closed else None
        relay = self._relay
        counted = {**self._starting.counted(), **(relay.counted() if relay is not None else {})}
        status = health.status(follower, self._bindings, self._dispatcher, counted, since)
        return status if relay is None else replace(status, relay=relay.role.value)

    def healthy(self) -> bool:
        """For liveness probes: False means that this process has to be restarted, and nothing else will help.

        Its threads run, and the line made a turn within 15 s. Never False because a server is away, nor before
        :meth:`start` and after :meth:`close`. Never blocks.
        """
        return self._closed or (follower := self._follower) is None or health.healthy(follower)

    def ready(self, *, max_age_s: float | None = None) -> bool:
        """For readiness probes: started, and whatever is bound has values. Never blocks.

        Stays True while ``DEGRADED`` and ``STALE``: an outage of PostgreSQL must not take all processes out of service.

        Args:
            max_age_s: False also if PostgreSQL has not confirmed the values for so many seconds. It confirms them
                every 1.25 times ``timing.reconcile_s``, at most.

        Raises:
            UsageError: ``max_age_s`` is shorter than that and a read, so that healthy processes would not be ready.
        """
        hears = self._wiring.redis_url is not None or self._wiring.listen
        health.check_age(max_age_s, self._timing, hears=hears)
        follower = self._follower
        return follower is not None and not self._closed and health.ready(follower, self._bindings, max_age_s)

    def on_state(self, listener: Callable[[StateChanged], object]) -> Callable[[], None]:
        """Call ``listener`` whenever the state changes. Returns a function that ends it.

        It runs on a thread of its own, as for :meth:`on_change`. The last call tells ``CLOSED``.
        """
        check_callback(listener, "on_state", "states")
        registered = self._dispatcher.add(STATES, listener, None)
        return lambda: self._dispatcher.remove(STATES, registered)  # a forked child has another dispatcher

    def states(self) -> StateStream:
        """Iterate over changes of state as :meth:`changes` does over changes of settings."""
        from hotconfig.runtime.aio import StateStream  # noqa: PLC0415 - only async programs need anyio

        stream = StateStream(self.on_state)
        self._streams.add(stream)
        return stream

    # Wiring ------------------------------------------------------------------------------------------------

    def _made(self) -> Follower:
        """A follower, not started yet."""
        self._observer = self._wiring.observer()
        return self._wiring.follower(self._dispatcher, self._timing, self._observer)

    def _launch(self, follower: Follower) -> None:
        """Start a follower on everything that is bound."""
        follower.ledger.tell_state = self._dispatcher.tell_state
        self._starting.keep(follower)
        self._bindings.follow_all(follower)
        forks.survive(self)
        self._follower = follower
        atexit.unregister(self.close)
        atexit.register(self.close, EXIT_TIMEOUT_S)
        follower.start()

    def _relaunch(self, parent: Follower) -> None:
        """In a forked child: follow what ``parent`` followed."""
        refuse_unfit_surroundings()
        with resources():
            follower = self._made()
        follower.ledger.condition.inherit(parent.ledger.condition)
        try:
            self._launch(follower)
        except RetryableError:
            self._abandon(follower, None)
            raise

    def _get_publisher(self) -> Publisher:
        with self._lock:
            follower = self._running()
            if self._publisher is None:
                self._publisher = self._wiring.publisher(
                    lambda: follower.line.keyring, follower.deliver, self._observer
                )
            return self._publisher

    def _running(self) -> Follower:
        if self._closed:
            raise NotStartedError("this HotConfig was closed: make a new one")
        if self._follower is None:
            raise NotStartedError(
                "start it first: `with HotConfig.from_env() as hc:`, in async code `async with`; or hc.start()"
            )
        self._follower.mend()
        return self._follower

    def _become_candidate(self, relay: Relay | None, timeout: float) -> None:
        if relay is None:
            return
        with self._lock:
            if self._closed:  # meanwhile, by another thread
                raise NotStartedError("this HotConfig was closed while it started")
            self._relay = relay
            relay.start()
        try:
            relay.first_attempt(timeout)
        except RetryableError as error:
            logger.warning("not a relay yet, and trying on: %s", error)

    def _abandon(self, follower: Follower | None, relay: Relay | None) -> None:
        """A start that failed. Who is still waiting for PostgreSQL ends by itself when that wait ends."""
        if relay is not None:
            relay.stop()
        if follower is None:
            return
        with self._lock:
            self._follower = self._relay = None
        forks.forget(self)
        atexit.unregister(self.close)
        follower.ledger.tell_state = None
        follower.stop(0.0)
        self._starting.stop(0.0)
        self._dispatcher.rest()
        self._observer.closed()

    def _find(self, settings: Target) -> Followed[Any]:
        return self._bindings.find(settings)

    def _refresh(self, followed: Followed[Any], revision: int) -> None:
        """Somebody else wrote: let the line catch up before the next attempt."""
        self._running().catch_up(followed, revision)
