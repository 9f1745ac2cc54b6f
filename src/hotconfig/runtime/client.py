"""``HotConfig``: what an application holds. Starts, binds, tells, waits, closes.

Owns the wiring of the parts and the life cycle. Must not know SQL, Redis commands or how a message is judged.
"""

from __future__ import annotations

import atexit
import hashlib
import inspect
import json
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from functools import cached_property
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, cast

from pydantic import BaseModel

from hotconfig.core.candidate import Blueprint
from hotconfig.core.declaration import service_of
from hotconfig.core.errors import (
    ConfigurationError,
    DatabaseUnavailableError,
    DeclarationError,
    NotBoundError,
    NotStartedError,
    RetryableError,
    UnknownKeyError,
    UsageError,
    WaitTimeoutError,
)
from hotconfig.core.line import Followed
from hotconfig.core.listeners import Changed
from hotconfig.core.status import ServiceStatus, State, Status
from hotconfig.runtime import forks
from hotconfig.runtime.dispatch import Dispatcher
from hotconfig.runtime.follower import Follower, Timing
from hotconfig.runtime.publishing import Commit, Publisher
from hotconfig.runtime.store import Store, Target
from hotconfig.runtime.surroundings import refuse_unfit_surroundings
from hotconfig.runtime.wiring import Environment, Wiring
from hotconfig.runtime.worker import ending
from hotconfig.sources import capture

if TYPE_CHECKING:
    from hotconfig.runtime.aio import AsyncFace, ChangeStream

logger = logging.getLogger("hotconfig")

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
        timing: How often to compare with PostgreSQL.
    """

    def __init__(
        self,
        database_url: str,
        redis_url: str | None = None,
        *,
        schema: str = "hotconfig",
        subscribe_all: bool = False,
        listen: bool = True,
        timing: Timing | None = None,
    ) -> None:
        self._wiring = Wiring(database_url, redis_url, schema, subscribe_all, listen)
        self._timing = timing or Timing()
        self._lock = threading.RLock()
        self._dispatcher = Dispatcher()
        self._follower: Follower | None = None
        self._publisher: Publisher | None = None
        self._followed: dict[str, Followed[Any]] = {}
        self._loading: dict[str, Future[Any]] = {}
        self._streams: weakref.WeakSet[ChangeStream[Any]] = weakref.WeakSet()
        self._closed = False
        self.store = Store(self._get_publisher, self._find, self._refresh)

    @classmethod
    def from_env(cls, *, timing: Timing | None = None) -> Self:
        """Make one from the environment.

        ``HOTCONFIG_DATABASE_URL`` is needed; ``HOTCONFIG_REDIS_URL``, ``HOTCONFIG_SCHEMA``,
        ``HOTCONFIG_SUBSCRIBE_ALL`` and ``HOTCONFIG_LISTEN`` stand for the arguments of the class.

        Raises:
            ConfigurationError: ``HOTCONFIG_DATABASE_URL`` is not set.
        """
        found = Environment()
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
            timing=timing,
        )

    # Life cycle --------------------------------------------------------------------------------------------

    def start(self, timeout: float = START_TIMEOUT_S) -> None:
        """Start the background threads and read PostgreSQL once. A second call does nothing.

        Redis need not be there: then the state says so, and PostgreSQL is polled. Blocks for ``timeout`` and no longer,
        even when PostgreSQL is frozen.

        Args:
            timeout: Seconds to wait for PostgreSQL.

        Raises:
            DatabaseUnavailableError: PostgreSQL did not answer in time.
            AccessDeniedError, SchemaMissingError, ConfigurationError: mend what the message names.
            NotStartedError: it was closed already; make a new one.
            RetryableError: the system has no thread or no file descriptor to give.
        """
        with self._lock:
            if self._closed:
                raise NotStartedError("this HotConfig was closed: make a new one")
            if self._follower is not None:
                return
            follower = self._launch()
        try:
            follower.first_contact(timeout)
        except BaseException:
            self._abandon(follower)
            raise

    def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """End the threads and close the connections. Live objects keep their last values. May be called twice.

        Args:
            timeout: Seconds to wait for the threads, in all; what has not ended by then is left to end by itself,
                and a warning says so.
        """
        deadline_s = monotonic() + timeout
        listeners = self._dispatcher.close()  # first: what a listener is refused from now on is not worth a complaint
        with self._lock:
            self._closed = True
            follower, publisher = self._follower, self._publisher
        forks.forget(self)
        atexit.unregister(self.close)
        for stream in tuple(self._streams):
            stream.end()
        ended = follower is None or follower.stop(timeout)
        ended = all([ended, *(each.join(max(0.0, deadline_s - monotonic())) for each in listeners)])
        if publisher is not None:
            publisher.close()
        if not ended:
            logger.log(
                logging.DEBUG if ending() else logging.WARNING,
                "hotconfig's threads did not end within %.1f s; is a listener blocked, or PostgreSQL frozen?",
                timeout,
            )

    def revive(self, inherited: list[object]) -> None:
        """Go on in a forked child, with threads and connections of its own. Called there by itself, not by you."""
        inherited += (self._follower, self._publisher, self._dispatcher, self._lock, self._followed)
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
        self._followed = {name: each.reborn() for name, each in self._followed.items() if each.live is not None}
        self._loading = {}
        if follower is not None and not self._closed:
            self._launch()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.aio.start()
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
        on_invalid: Literal["raise", "defaults"] = "raise",
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
        if not isinstance(cast("object", settings_class), type):
            raise UsageError(f"bind takes a class: pass {type(settings_class).__name__}, not an instance of it")
        service = service_of(settings_class)
        if on_invalid not in ("raise", "defaults"):
            raise UsageError('on_invalid= takes "raise" or "defaults"')
        follower, blueprint = self._running(), None
        if service not in self._followed:
            # Without the lock: the class's own sources may take their time, and close() must not wait for them.
            blueprint = Blueprint(settings_class, capture(settings_class), pins)
        with self._lock:
            follower = self._running()
            followed, live = self._followed.get(service), self._loading.get(service)
            known = followed is not None and live is not None
            if followed is None or live is None:
                blueprint = blueprint or Blueprint(settings_class, capture(settings_class), pins)
                follower.register(service, *_schema_of(blueprint))
                followed = Followed(blueprint, lenient=on_invalid == "defaults")
                live = follower.follow(followed)
                self._followed[service], self._loading[service] = followed, live
        if known:
            _check_same(followed, settings_class, pins)
        loaded: M = self._loaded(follower, followed, live, timeout, known=known)
        return loaded

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
        """
        if not callable(cast("object", listener)) or inspect.iscoroutinefunction(listener):
            raise UsageError("on_change takes an ordinary function; in async code iterate over changes() instead")
        followed = self._find(settings)
        keys = None if key is None else frozenset({_field(followed, key)})
        registered = self._dispatcher.add(followed.service, listener, keys)
        return lambda: self._dispatcher.remove(followed.service, registered)

    def changes(self, settings: M, *, key: str | None = None) -> ChangeStream[M]:
        """Iterate over real changes as they come, on asyncio or trio: ``async for change in hc.changes(ai)``.

        Listening begins with the call, which has to be made where the event loop runs; ``async with`` ends it.

        Raises:
            NotBoundError, UnknownKeyError.
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
        followed = self._waited_for(revision, settings)
        wanted = revision.revision if isinstance(revision, Commit) else revision
        if not self._running().wait_for(followed, wanted, timeout):
            shown = followed.shown.revision if followed.shown is not None else 0
            raise WaitTimeoutError(
                f"service {followed.service!r}: revision {wanted} was not seen within {timeout} s, it shows {shown}"
            )

    def status(self) -> Status:
        """How this process stands. Never blocks and asks nobody."""
        errors, dropped = self._dispatcher.counts()
        follower = self._follower
        if follower is None:
            return Status.before_start(datetime.now(UTC), closed=self._closed)
        ledger = follower.ledger
        verified_at_s = ledger.verified_at_s
        return Status(
            state=State.CLOSED if self._closed else ledger.state if follower.alive else State.STALE,
            since=ledger.since,
            verified_age_s=None if verified_at_s is None else monotonic() - verified_at_s,
            redis={True: "connected", False: "away", None: "unused"}[follower.connected],
            last_error=ledger.last_error,
            services={name: _describe(followed) for name, followed in dict(self._followed).items()},
            counters=ledger.counted(),
            listener_errors=errors,
            listener_dropped=dropped,
            lag_s=ledger.lag_s(monotonic()),
        )

    # Wiring ------------------------------------------------------------------------------------------------

    def _launch(self) -> Follower:
        """Make a follower of everything that is bound, and start it."""
        refuse_unfit_surroundings()
        try:
            follower = self._wiring.follower(self._dispatcher, self._timing)
        except OSError as error:
            raise RetryableError(f"hotconfig cannot be started: {error.strerror}. Raise `ulimit -n`.") from error
        for name, followed in self._followed.items():
            self._loading[name] = follower.follow(followed)
        forks.survive(self)
        self._follower = follower
        atexit.unregister(self.close)
        atexit.register(self.close, EXIT_TIMEOUT_S)
        try:
            follower.start()
        except RetryableError:
            self._abandon(follower)
            raise
        return follower

    def _get_publisher(self) -> Publisher:
        with self._lock:
            follower = self._running()
            if self._publisher is None:
                self._publisher = self._wiring.publisher(lambda: follower.line.keyring, follower.deliver)
            return self._publisher

    def _running(self) -> Follower:
        if self._closed:
            raise NotStartedError("this HotConfig was closed: make a new one")
        if self._follower is None:
            raise NotStartedError("start it first: `with HotConfig.from_env() as hc:`, or hc.start()")
        self._follower.mend()
        return self._follower

    def _abandon(self, follower: Follower) -> None:
        """A start that failed. Who is still waiting for PostgreSQL ends by itself when that wait ends."""
        with self._lock:
            self._follower = None
        forks.forget(self)
        atexit.unregister(self.close)
        follower.stop(0.0)

    def _find(self, settings: Target) -> Followed[Any]:
        kind = settings if isinstance(settings, type) else type(settings)
        followed = self._followed.get(service_of(kind))
        if followed is None or followed.live is None or followed.blueprint.settings_class is not kind:
            raise NotBoundError(f"{kind.__name__} is not bound here: call bind({kind.__name__}) first")
        if not isinstance(settings, type) and settings is not followed.live:
            raise NotBoundError(f"this {kind.__name__} is not the live object: use the one that bind() returned")
        return followed

    def _loaded(self, follower: Follower, followed: Followed[M], live: Future[M], timeout: float, *, known: bool) -> M:
        service = followed.service
        try:
            loaded: M = live.result(timeout)
        except FutureTimeoutError:
            # Whoever else waits for the same load goes on waiting; the next call of bind joins it.
            raise DatabaseUnavailableError(
                f"service {service!r}: PostgreSQL did not answer within {timeout} s; "
                f"last error: {follower.ledger.last_error}"
            ) from None
        except BaseException:
            if live.done():
                self._forget(follower, followed, live)
            raise
        if not known and followed.problems:
            logger.error("service %r: bound with defaults in place of: %s", service, ", ".join(followed.problems))
        return loaded

    def _forget(self, follower: Follower, followed: Followed[Any], live: Future[Any]) -> None:
        """A load that failed; another may have begun meanwhile."""
        with self._lock:
            if self._loading.get(followed.service) is not live:
                return
            del self._followed[followed.service], self._loading[followed.service]
        follower.forget(followed)

    def _waited_for(self, revision: int | Commit, settings: Target | None) -> Followed[Any]:
        if settings is not None:
            return self._find(settings)
        if isinstance(revision, Commit):
            followed = self._followed.get(revision.service)
            if followed is None:
                raise NotBoundError(f"service {revision.service!r} is not bound here")
            return followed
        if len(self._followed) != 1:
            raise UsageError("several classes are bound: say which with settings=, or pass what store returned")
        return next(iter(self._followed.values()))

    def _refresh(self, followed: Followed[Any], revision: int) -> None:
        """Somebody else wrote: let the line catch up before the next attempt."""
        self._running().catch_up(followed, revision)


def snapshot(settings: M) -> M:
    """One immutable, consistent view of all fields: read several of them from it. Costs no I/O and no lock.

    Raises:
        NotBoundError: ``settings`` is not a live object.
    """
    from hotconfig.core.live import current  # noqa: PLC0415

    return current(settings)


def _schema_of(blueprint: Blueprint[Any]) -> tuple[str, str]:
    """Hash and text of a class's JSON Schema."""
    schema = json.dumps(blueprint.json_schema(), sort_keys=True)
    return hashlib.sha256(schema.encode()).hexdigest(), schema


def _check_same(followed: Followed[Any], settings_class: type[BaseModel], pins: Mapping[str, Any] | None) -> None:
    blueprint = followed.blueprint
    if blueprint.settings_class is not settings_class:
        raise DeclarationError(
            f"service {followed.service!r} is bound to {blueprint.settings_class.__qualname__} already: one class per "
            f"service. Put the fields of {settings_class.__qualname__} into it, or name another service."
        )
    if pins is not None and dict(pins) != dict(blueprint.pins):
        raise DeclarationError(f"service {followed.service!r} is bound with other pins already")


def _field(followed: Followed[Any], key: str) -> str:
    if key in followed.blueprint.keys:
        return key
    raise UnknownKeyError(f"service {followed.service!r} has no key {key!r}")


def _describe(followed: Followed[Any]) -> ServiceStatus:
    head, shown = followed.head, followed.shown
    return ServiceStatus(
        settings_class=followed.blueprint.settings_class.__qualname__,
        revision=head.revision if head is not None else 0,
        shown_revision=shown.revision if shown is not None else 0,
        digest=head.digest.hex() if head is not None else "",
        problems=dict(followed.problems),
        pinned_keys=tuple(sorted(followed.blueprint.pins)),
        unknown_keys=tuple(sorted(followed.unknown)),
    )
