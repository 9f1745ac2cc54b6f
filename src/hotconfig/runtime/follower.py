"""The follower: the thread that drives the line. It waits on Redis, on answers from PostgreSQL and on the clock.

Owns the order of things within one turn. Must not know how a message is judged (:mod:`hotconfig.core.line`), when to
read (:mod:`hotconfig.core.schedule`), or when to connect (:mod:`hotconfig.runtime.link`).
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
from typing import Any, Final

from hotconfig.core.chain import ChangeSet
from hotconfig.core.errors import (
    ConfigurationError,
    DatabaseUnavailableError,
    HotConfigError,
    InvalidStateError,
    NotStartedError,
    UsageError,
)
from hotconfig.core.line import Followed, Line, head_of
from hotconfig.core.listeners import Changed
from hotconfig.core.outcomes import NeedsRead, Outcome
from hotconfig.core.ports import Answer, Confirmed, Event, Message, Notified, Reader
from hotconfig.core.problems import one_line
from hotconfig.core.schedule import ReadSchedule
from hotconfig.runtime.inbox import Inbox
from hotconfig.runtime.ledger import Ledger
from hotconfig.runtime.link import Link, Opened, OpenFailed, OpenSubscription
from hotconfig.runtime.news import News
from hotconfig.runtime.reading import ReadingThread
from hotconfig.runtime.waiting import Waiting

logger = logging.getLogger("hotconfig.follower")

BATCH: Final = 1000
"""Messages taken together before the line is flushed and the clock is looked at again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How often and how long, in seconds.

    Attributes:
        reconcile_s: Between two comparisons with PostgreSQL while Redis is connected.
        poll_s: The same while it is not.
        stale_after_s: Unconfirmed for longer than this is called stale.
    """

    reconcile_s: float = 10.0
    poll_s: float = 1.0
    stale_after_s: float = 30.0

    def __post_init__(self) -> None:
        """Raises ``UsageError`` for what is no time."""
        for name, seconds in (("reconcile_s", self.reconcile_s), ("poll_s", self.poll_s)):
            if not 0.01 <= seconds <= 86_400:
                raise UsageError(f"Timing.{name} takes seconds from 0.01 to 86,400, not {seconds}")


@dataclass(frozen=True, slots=True)
class _Follow:
    followed: Followed[Any]
    live: Future[Any]


@dataclass(frozen=True, slots=True)
class _Forget:
    followed: Followed[Any]


@dataclass(frozen=True, slots=True)
class _Contact:
    made: Future[None]


class _Command(Enum):
    READ = "read"
    SHOW = "show"


_Item = ChangeSet | Link | Answer | HotConfigError | Opened | OpenFailed | _Follow | _Forget | _Contact | _Command


class Follower:
    """Follows any number of services for one process. Made and stopped by the client."""

    def __init__(
        self,
        reader: Reader,
        open_subscription: OpenSubscription | None,
        open_listener: OpenSubscription | None,
        tell: Callable[[Changed[Any]], None],
        timing: Timing,
    ) -> None:
        rng = random.Random()  # noqa: S311 - jitter
        self.line = Line(tell)
        self.ledger = Ledger()
        self._timing = timing
        self._inbox: Inbox[_Item] = Inbox()
        self._selector = selectors.DefaultSelector()
        self._inbox.register(self._selector)
        self._news = News(
            self._selector,
            Link("Redis", open_subscription, self._inbox.post, rng) if open_subscription is not None else None,
            Link("PostgreSQL", open_listener, self._inbox.post, rng) if open_listener is not None else None,
            self._news_stopped,
        )
        self._schedule = ReadSchedule(monotonic(), rng)
        self._reading = ReadingThread(reader, self._inbox.post)
        self._thread = threading.Thread(target=self._run, name="hotconfig-line", daemon=True)
        self._stopping = False
        self._turning = threading.Lock()  # around the line, which a writing thread may use between two turns
        self._waiting = Waiting()

    # Called by any thread ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start both threads."""
        self._reading.start()
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End both threads; False if one did not end in time. The values stay as they are."""
        deadline_s = monotonic() + timeout_s
        self._stopping = True
        self._reading.stop()
        if self._thread.ident is None:
            self._clean_up()
            return True
        self._inbox.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        ended = self._reading.join(max(0.0, deadline_s - monotonic()))
        return self._news.join(max(0.0, deadline_s - monotonic())) and ended and not self._thread.is_alive()

    def abandon(self) -> None:
        """In a forked child: let go of inherited descriptors without a word on any connection."""
        self._reading.abandon()
        self._news.abandon()
        self._inbox.close()
        self._selector.close()

    def first_contact(self, timeout_s: float) -> None:
        """Wait until PostgreSQL has answered for the first time.

        Raises:
            DatabaseUnavailableError: it did not in time.
            ConfigurationError: it answered that something has to be mended.
        """
        made: Future[None] = Future()
        self._inbox.post(_Contact(made))
        try:
            made.result(timeout_s)
        except TimeoutError:
            raise DatabaseUnavailableError(
                f"PostgreSQL did not answer within {timeout_s} s; "
                f"last error: {self.ledger.last_error or 'none, it is silent'}"
            ) from None

    def follow(self, followed: Followed[Any]) -> Future[Any]:
        """Follow one more service. The future gives the live object, or says why there is none."""
        live: Future[Any] = Future()
        self._inbox.post(_Follow(followed, live))
        return live

    def deliver(self, change_set: ChangeSet, *, announced: bool) -> None:
        """Take a commit that this very process made: at once, in the writing thread, where the line is free.

        Handing it to the line's thread would have both threads ask for the interpreter at the same moment.
        """
        if not self._taken_here(change_set) and not (announced and self.connected and change_set.complete):
            self._inbox.post(change_set)

    def _taken_here(self, change_set: ChangeSet) -> bool:
        """Whether it was the next one for the line, and is shown now. Never waits."""
        if not self._turning.acquire(blocking=False):
            return False
        try:
            if self._stopping or not self.line.awaits(change_set):
                return False
            self._judged(self.line.judge(change_set), None)
            self.ledger.enter(self.line.flush())
        except BaseException:  # Ctrl-C goes to the main thread, wherever that is
            self._inbox.post(_Command.SHOW)
            raise
        finally:
            self._turning.release()
        return True

    def forget(self, followed: Followed[Any]) -> None:
        """Give up a service that could not be loaded; not another attempt at it."""
        self._inbox.post(_Forget(followed))

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        """Have a JSON Schema stored, some time."""
        self._reading.register((service, schema_hash, json_schema))

    def wait_for(self, followed: Followed[Any], revision: int, timeout_s: float) -> bool:
        """Wait until the live object shows this revision or a newer one; False if it did not in time.

        Raises:
            InvalidStateError: the revision arrived and was rejected.
            NotStartedError: the follower was stopped meanwhile.
        """
        self.ledger.wait(lambda: self._stopping or _shows(followed, revision), timeout_s)
        if _shows(followed, revision):
            return True
        if self._stopping:
            raise NotStartedError("closed while waiting for a revision")
        return False

    def catch_up(self, followed: Followed[Any], revision: int, timeout_s: float = 1.0) -> None:
        """Read PostgreSQL now, and wait until the line knows this revision or a newer one."""
        self._inbox.post(_Command.READ)
        self.ledger.wait(
            lambda: self._stopping or (followed.head is not None and followed.head.revision >= revision), timeout_s
        )

    @property
    def connected(self) -> bool | None:
        """Whether Redis is connected; None where there is none to connect to."""
        return None if self._news.redis is None else self._news.redis.connected

    # The line's thread ---------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the line's thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except BaseException as error:  # outermost loop: nothing may end the line
                if isinstance(error, GeneratorExit):
                    raise
                self.ledger.counters.line_errors += 1
                logger.exception("the line stumbled and goes on")
                self._news.drop_all(HotConfigError(f"unforeseen: {type(error).__name__}"), monotonic())
        self._clean_up()

    def _turn(self) -> None:
        now_s = monotonic()
        due_s = self._schedule.next_s(now_s)
        if self.line.followed:
            due_s = min(due_s, self._news.next_s(now_s))
        ready = [key.data for key, _ in self._selector.select(max(0.0, due_s - now_s))]
        with self._turning:
            self._take_turn(ready)

    def _take_turn(self, ready: list[object]) -> None:
        if self._inbox in ready:
            for item in self._inbox.take():
                self._take_item(item)
        for link in ready:
            if isinstance(link, Link):
                self._hear(link)
        self._tick(monotonic())
        self.ledger.reckon(monotonic(), self._timing.stale_after_s, redis_away=self._news.redis_away(monotonic()))

    def _take_item(self, item: _Item) -> None:  # noqa: C901 - one case per kind of item
        match item:
            case Answer():
                self._answered(item)
            case HotConfigError():
                self._unanswered(item)
            case Opened():
                self._opened(item)
            case OpenFailed(link, error):
                self._news.drop(link, error, monotonic())
            case ChangeSet():
                self._judged(self.line.judge(item), None)
                self.ledger.enter(self.line.flush())
            case _Follow(followed, live):
                self._start_following(followed, live)
            case _Forget(followed):
                if self.line.followed.get(followed.service) is followed:
                    del self.line.followed[followed.service]
                    self._waiting.forget(followed.service)
            case _Contact(made):
                self._waiting.contact(made)
                self._schedule.want()
            case _Command.READ:
                self._schedule.want()
            case _Command.SHOW:
                self.ledger.enter(self.line.flush())
            case Link():
                self._hear(item)

    def _tick(self, now_s: float) -> None:
        if self.line.followed:
            self._news.tick(self.line.followed, now_s)
        for service in self._schedule.impatient(now_s):
            self._judge_again(service)
        if (self.line.followed or self._waiting.for_contact) and self._schedule.begin(now_s):
            self.ledger.counters.reads += 1
            self._reading.ask({name: head_of(followed) for name, followed in self.line.followed.items()})

    def _start_following(self, followed: Followed[Any], live: Future[Any]) -> None:
        self.line.followed[followed.service] = followed
        self._waiting.load(followed.service, live)
        # Subscribe before reading: the confirmation asks for the read. If none comes, patience does.
        if self._news.follow(followed.service, monotonic()):
            self._schedule.await_confirmation(followed.service, monotonic())
        else:
            self._schedule.want()

    # News

    def _opened(self, opened: Opened) -> None:
        self.ledger.counters.connections += 1
        if not self._news.opened(opened, self.line.followed, monotonic()):
            self._schedule.want()
        self._hear(opened.link)

    def _hear(self, link: Link) -> None:
        # The first message is shown at once; what else has piled up is taken together.
        for limit in (1, BATCH):
            events = self._news.receive(link, limit, monotonic())
            for event in events:
                self._take_event(link, event)
            self.ledger.enter(self.line.flush())
            if len(events) < limit:
                return
        # More may be buffered in the driver, where the selector does not see it: come back for it.
        self._inbox.post(link)

    def _take_event(self, link: Link, event: Event) -> None:
        if isinstance(event, Message):
            self.ledger.counters.messages += 1
            self._judged(self.line.receive(event.channel, event.data), event)
        elif isinstance(event, Notified):
            self._judged(self.line.notified(*event), event)
        elif isinstance(event, Confirmed):
            link.confirmed()
            self._schedule.want()
        else:
            link.ponged()

    def _judged(self, outcome: Outcome | None, message: Message | Notified | None) -> None:
        if outcome is None:
            return
        self.ledger.counters.count(outcome)
        if isinstance(outcome, NeedsRead):
            if outcome.patient and message is not None:
                self._schedule.wait_a_moment(outcome.service, monotonic(), message)
            else:
                self._schedule.hint()

    def _judge_again(self, service: str) -> None:
        """What explained itself meanwhile needs no read."""
        patience = self._schedule.patience.pop(service)
        again = [
            self.line.notified(*message) if isinstance(message, Notified) else self.line.receive(*message)
            for message in patience.messages
        ]
        self.ledger.enter(self.line.flush())
        if not patience.messages:
            self._schedule.want()  # a first load that no confirmation came for
        elif any(isinstance(outcome, NeedsRead) for outcome in again):
            self._schedule.hint()

    def _news_stopped(self, link: Link, error: HotConfigError) -> None:
        self.ledger.note(error, again=link.failures > 1)
        self.ledger.counters.connection_failures += 1
        self._schedule.sooner(monotonic(), self._timing.poll_s)
        if self._waiting.for_loads:
            self._schedule.want()

    # PostgreSQL

    def _answered(self, answer: Answer) -> None:
        now_s = monotonic()
        self._schedule.answered(now_s, self._timing.reconcile_s if self._news.hearing else self._timing.poll_s)
        self.line.keyring = answer.keyring
        for loaded in answer.loaded:
            outcome = self.line.load(loaded)
            self.ledger.enter([outcome])
            if isinstance(outcome, NeedsRead):
                self._schedule.hint()
            followed = self.line.followed.get(loaded.service)
            if followed is not None and self._waiting.loaded(followed, outcome):
                self._schedule.patience.pop(loaded.service, None)
        self.ledger.enter(self.line.flush())
        if not answer.in_recovery:
            self.ledger.verified(now_s)
        self._waiting.contacted()

    def _unanswered(self, error: HotConfigError) -> None:
        self.ledger.counters.read_failures += 1
        again = self._schedule.failed(monotonic())
        told = isinstance(error, ConfigurationError) and (self._waiting.for_contact or self._waiting.for_loads)
        self.ledger.note(error, again=again or told)
        if isinstance(error, ConfigurationError):
            self._waiting.give_up(error)

    def _clean_up(self) -> None:
        self._news.close()
        for item in self._inbox.take():
            if isinstance(item, Opened):
                item.subscription.close()
            elif isinstance(item, _Follow):
                self._waiting.load(item.followed.service, item.live)
            elif isinstance(item, _Contact):
                self._waiting.contact(item.made)
        self._waiting.give_up(NotStartedError("closed while PostgreSQL was being waited for"))
        self._selector.close()
        self._inbox.close()
        self.ledger.close()


def _shows(followed: Followed[Any], revision: int) -> bool:
    """Whether the live object shows this revision. Raises if it arrived and was rejected."""
    shown, head = followed.shown, followed.head
    if shown is not None and shown.revision >= revision:
        return True
    if head is not None and head.revision >= revision and followed.problems:
        raise InvalidStateError(
            f"service {followed.service!r}: revision {head.revision} was rejected here, the last good values stay: "
            + one_line(followed.problems),
            dict(followed.problems),
        )
    return False
