"""The relay: one process, elected by a lock of PostgreSQL's, announces the commits that nobody else announced.

Owns the thread ``hotconfig-relay`` and the session that holds the role. Must not know what has to be announced
(:mod:`hotconfig.core.relaying`), how the announcements of others are heard (:mod:`hotconfig.runtime.ear`), nor anything
of the line.
"""

from __future__ import annotations

import logging
import random
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Final

from hotconfig.core.backoff import Backoff, jittered
from hotconfig.core.chain import ChangeSet, Head
from hotconfig.core.errors import ConfigurationError, HotConfigError, NotStartedError, RetryableError
from hotconfig.core.ports import Announcer, RelaySession
from hotconfig.core.relaying import Missed, Relaying
from hotconfig.core.wire import Keyring
from hotconfig.runtime.ear import Ear
from hotconfig.runtime.inbox import Inbox
from hotconfig.runtime.link import MISCONFIGURED_DELAY_S, Opened, OpenFailed, OpenSubscription
from hotconfig.runtime.worker import start

logger: Final = logging.getLogger("hotconfig.relay")

TRY_S: Final = 0.5
"""Between two attempts to take the role."""
BEAT_S: Final = 0.5
"""Between two signs of life of the leader; well below what the server takes for frozen."""
REDIS_AWAY_S: Final = 5.0
"""How long to wait for the ear to connect again before announcing is tried all the same. Connecting takes the ear a
thread of its own; announcing takes the relay's, which has to speak to PostgreSQL in time."""


class Role(Enum):
    """What a relay does."""

    LEADING = "leading"
    """It announces what nobody else did."""
    WAITING = "waiting"
    """Somebody else does, or PostgreSQL is away."""
    OFF = "off"
    """It was not asked for, or has ended."""


@dataclass(frozen=True, slots=True)
class Told:
    """What happened to a relay.

    Attributes:
        event: ``leading``; ``waiting``; ``lost``, the role, or ``away``, it is out of reach; ``announced``, a commit;
            ``deaf``, what others announce is not heard; ``redis away``; ``redis back``.
        service: Whose commit was announced.
        revision: Which one.
        error: Why.
    """

    event: str
    service: str | None = None
    revision: int | None = None
    error: HotConfigError | None = None


Tell = Callable[[Told], None]


class Relay:
    """A candidate for the role, and the relay while it holds it. Any number may run; two leaders harm nobody.

    Args:
        open_session: Connects to PostgreSQL; may block within the bounds of a connection.
        open_ear: Subscribes to everything in Redis. What it hears need not be announced; deaf, all is.
        announcer: Closed with the relay.
        tell: Called from the relay's thread with everything that happens. It must neither raise nor block.
    """

    def __init__(
        self,
        open_session: Callable[[], RelaySession],
        open_ear: OpenSubscription,
        announcer: Announcer,
        tell: Tell = lambda _: None,
    ) -> None:
        self.role: Role = Role.OFF
        self.announced: int = 0
        self._open_session = open_session
        self._announcer = announcer
        self._tell = tell
        self._rng = random.Random()  # noqa: S311 - jitter
        self._inbox: Inbox[Opened | OpenFailed] = Inbox()
        self._selector = selectors.DefaultSelector()
        self._inbox.register(self._selector)
        self._ear = Ear(
            self._selector, self._inbox, open_ear, self._rng, confirmed=self._hearing, lost=self._not_hearing
        )
        self._relaying = Relaying()
        self._keyring: Keyring = {}
        self._session: RelaySession | None = None
        self._leading = False
        self._first: Future[None] = Future()
        self._backoff = Backoff()
        self._failures = 0
        self._redis_failures = 0
        self._next_try_s = 0.0
        self._next_beat_s = 0.0
        self._announce_at_s = 0.0
        self._deaf: HotConfigError | None = None
        self._stopping = self._over = False
        self._thread = threading.Thread(target=self._run, name="hotconfig-relay", daemon=True)

    # Called by any thread ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread.

        Raises:
            RetryableError: the system has no thread to give, now.
        """
        self.role = Role.WAITING
        start(self._thread)

    def first_attempt(self, timeout_s: float) -> None:
        """Wait until the role was asked for, or could not be.

        Raises:
            ConfigurationError: as by a pooler, behind which no relay can work.
            RetryableError: PostgreSQL was not reached; the relay goes on trying.
        """
        try:
            self._first.result(timeout_s)
        except TimeoutError:
            raise RetryableError(f"the relay did not reach PostgreSQL within {timeout_s} s") from None

    def stop(self) -> None:
        """Let the thread end after what it is doing, which frees the role. Does not wait."""
        self._stopping = True
        self._inbox.wake()
        if self._thread.ident is None:  # it could not be started
            self._clean_up()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False if it did not come in time."""
        deadline_s = monotonic() + timeout_s
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return self._ear.join(max(0.0, deadline_s - monotonic())) and not self._thread.is_alive()

    def abandon(self) -> None:
        """In a forked child: let go of inherited descriptors without a word; the parent keeps the role."""
        if self._session is not None:
            self._session.abandon()
        self._ear.abandon()
        self._announcer.abandon()
        self._inbox.close()
        self._selector.close()

    def counted(self) -> dict[str, object]:
        """Commits announced here, and commits whose writers were heard to announce them."""
        return {"relay_announced": self.announced, "relay_skipped": self._relaying.skipped}

    # The relay's thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except HotConfigError as error:
                self._lose(error)
            except BaseException as error:  # outermost loop of the worker: commits would wait for polling
                if isinstance(error, GeneratorExit):
                    raise
                logger.exception("the relay stumbled and starts anew")
                self._lose(RetryableError(f"unforeseen: {type(error).__name__}"))
        self._clean_up()

    def _turn(self) -> None:
        ready = [key.data for key, _ in self._selector.select(max(0.0, self._next_s() - monotonic()))]
        if self._inbox in ready:
            for item in self._inbox.take():
                self._ear.opened(item, wanted=self._leading)
        if self._stopping:
            return
        if self._ear in ready or self._ear.more:
            self._listen()
        if not self._leading:
            self._try_to_lead()
        elif self._session is not None:
            self._ear.keep(monotonic())
            self._relay(self._session)
            self._beat(self._session)
            self._hear(self._session)

    def _next_s(self) -> float:
        if not self._leading:
            return self._next_try_s
        return min(self._next_beat_s, self._ear.next_s(monotonic()), max(self._announce_at_s, self._relaying.next_s()))

    # The role

    def _try_to_lead(self) -> None:
        now_s = monotonic()
        if now_s < self._next_try_s:
            return
        self._next_try_s = now_s + jittered(TRY_S, self._rng)
        if self._session is None:
            self._session = self._open_session()
        if self._session.try_lead():
            self._lead(self._session)
        else:
            self._relaying.forget()
            self._tell(Told("waiting"))
        self._failures = 0
        if not self._first.done():
            self._first.set_result(None)

    def _lead(self, session: RelaySession) -> None:
        self._keyring = session.keyring()
        self._relaying.begin(session.standings(), monotonic())
        self._selector.register(session.fileno(), selectors.EVENT_READ, session)
        self._leading, self.role = True, Role.LEADING
        self._next_beat_s = self._announce_at_s = 0.0
        logger.info("leading: commits that nobody announces are announced from here")
        self._tell(Told("leading"))

    def _lose(self, error: HotConfigError) -> None:
        """Whatever went wrong with PostgreSQL: nothing is certain any more, the role least of all."""
        was_leading, self._leading, self.role = self._leading, False, Role.WAITING
        self._failures += 1
        misconfigured = isinstance(error, ConfigurationError)
        delay_s = MISCONFIGURED_DELAY_S if misconfigured else self._backoff.delay_s(self._failures, self._rng)
        self._next_try_s = monotonic() + delay_s
        self._ear.dismiss()
        self._deaf = None
        self._relaying.deaf()
        self._close_session()
        level = logging.WARNING if was_leading or self._failures == 1 else logging.DEBUG
        logger.log(level, "not leading: %s", error)
        self._tell(Told("lost" if was_leading else "away", error=error))
        if not self._first.done():
            self._first.set_exception(error)

    def _beat(self, session: RelaySession) -> None:
        """The server takes a silent session for frozen, so this comes before and after whatever may take time."""
        if monotonic() >= self._next_beat_s:
            session.beat()
            self._next_beat_s = monotonic() + BEAT_S

    # What is committed

    def _hear(self, session: RelaySession) -> None:
        now_s = monotonic()
        for service, revision in session.receive():
            self._relaying.notified(service, revision, now_s)

    def _relay(self, session: RelaySession) -> None:
        now_s = monotonic()
        asked = self._relaying.due(now_s) if now_s >= self._announce_at_s else {}
        if not asked:
            return
        answered = session.missed(asked)
        self._keyring = session.keyring()
        self._next_beat_s = monotonic() + BEAT_S
        for missed in answered:
            self._note_rewind(missed, asked)
            for change_set in missed.change_sets():
                if self._stopping or not self._announce(change_set, session):
                    return
        self._relaying.settle(asked, answered)

    def _announce(self, change_set: ChangeSet, session: RelaySession) -> bool:
        """False when Redis does not take it: the rest is read again when it may."""
        self._beat(session)
        try:
            self._announcer.announce(change_set, self._keyring)
        except HotConfigError as error:
            self._redis_failures += 1
            delay_s = self._backoff.delay_s(self._redis_failures, self._rng)
            self._announce_at_s = monotonic() + (REDIS_AWAY_S if self._ear.redis_away else delay_s)
            level = logging.WARNING if self._redis_failures == 1 else logging.DEBUG
            logger.log(level, "service %r: revision %d waits: %s", change_set.service, change_set.head.revision, error)
            if self._redis_failures == 1:
                self._tell(Told("redis away", error=error))
            return False
        if self._redis_failures:
            logger.info("Redis is back")
            self._tell(Told("redis back"))
        self._redis_failures = 0
        self._relaying.announced(change_set)
        self.announced += 1
        self._tell(Told("announced", change_set.service, change_set.head.revision))
        return True

    def _note_rewind(self, missed: Missed, asked: dict[str, Head]) -> None:
        if not missed.known:
            logger.warning(
                "service %r: PostgreSQL does not know revision %s any more and stands at %s; going on from there",
                missed.service,
                asked[missed.service],
                missed.head,
            )

    # What is announced already

    def _listen(self) -> None:
        for change_set in self._ear.listen(self._keyring):
            self._relaying.heard(change_set, monotonic())

    def _hearing(self) -> None:
        self._announce_at_s = 0.0
        self._deaf = None

    def _not_hearing(self, error: HotConfigError) -> None:
        logger.log(logging.DEBUG if self._deaf else logging.WARNING, "what others announce is not heard: %s", error)
        self._tell(Told("deaf", error=error))
        self._relaying.deaf()
        away, was_away = self._ear.redis_away, isinstance(self._deaf, RetryableError)
        if away is not was_away:
            self._announce_at_s = monotonic() + REDIS_AWAY_S if away else 0.0
        self._deaf = error

    def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        for key in list(self._selector.get_map().values()):
            if key.data is session:
                self._selector.unregister(key.fileobj)
        session.close()

    def _clean_up(self) -> None:
        if self._over:
            return
        self._over = True
        self.role = Role.OFF
        self._close_session()  # first: it frees the role
        self._ear.close()
        for item in self._inbox.take():
            if isinstance(item, Opened):
                item.subscription.close()
        self._announcer.close()
        self._selector.close()
        self._inbox.close()
        if not self._first.done():
            self._first.set_exception(NotStartedError("closed while the relay was connecting"))
