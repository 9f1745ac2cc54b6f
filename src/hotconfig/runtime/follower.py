"""The follower: the thread that drives the line. It waits on Redis, on answers from PostgreSQL and on the clock.

Owns the order of things within one turn. Must not know how a message is judged (:mod:`hotconfig.core.line`), when to
read (:mod:`hotconfig.runtime.reconciler`), or when to connect (:mod:`hotconfig.runtime.link`).
"""

from __future__ import annotations

import logging
import random
import selectors
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from time import monotonic
from typing import Any, Final

from hotconfig.core.chain import ChangeSet
from hotconfig.core.errors import (
    DatabaseUnavailableError,
    HotConfigError,
    NotStartedError,
    RetryableError,
)
from hotconfig.core.followed import Followed, StandIn
from hotconfig.core.line import Line
from hotconfig.core.listeners import Changed
from hotconfig.core.observing import UNOBSERVED, Observer
from hotconfig.core.outcomes import Outcome, Rejected
from hotconfig.core.ports import Answer, Confirmed, Event, Message, Notified, Reader
from hotconfig.runtime import overriding
from hotconfig.runtime.inbox import Inbox
from hotconfig.runtime.ledger import Ledger
from hotconfig.runtime.link import Link, Opened, OpenFailed, OpenSubscription
from hotconfig.runtime.measuring import Measuring
from hotconfig.runtime.news import News
from hotconfig.runtime.reading import ReadingThread
from hotconfig.runtime.reconciler import Reconciler
from hotconfig.runtime.requests import Command, Contact, Follow, Forget, Request, StandingIn
from hotconfig.runtime.timing import Timing
from hotconfig.runtime.waiting import shows
from hotconfig.runtime.worker import Worker

logger: Final = logging.getLogger("hotconfig.follower")

MAX_PAUSE_S: Final = 1.0
"""Between two turns when each of them fails."""
BATCH: Final = 1000
"""Messages taken together before the line is flushed and the clock is looked at again."""
TURN_S: Final = 1.0
"""Between two turns, at most, so that a line that does nothing can be told from one that cannot."""
WATCHFUL_TURN_S: Final = 0.1
"""The same while the state may change merely because time passes."""

OVERRIDE_TIMEOUT_S: Final = 10.0
"""How long an override waits for the line to finish a turn: for as long as users' validators may reasonably take."""

_CLOSED: Final = "closed while PostgreSQL was being waited for"

LookAt = Callable[[Mapping[str, Followed[Any]], "float | None"], None]


_Item = ChangeSet | Link | Answer | HotConfigError | Opened | OpenFailed | Request


class Follower:
    """Follows any number of services for one process. Made and stopped by the client."""

    def __init__(
        self,
        reader: Reader,
        open_subscription: OpenSubscription | None,
        open_listener: OpenSubscription | None,
        tell: Callable[[Changed[Any]], None],
        timing: Timing,
        *,
        observer: Observer = UNOBSERVED,
    ) -> None:
        rng = random.Random()  # noqa: S311 - jitter
        self.line: Line = Line(tell)
        self.ledger: Ledger = Ledger()
        self._observer = observer
        self._measuring = Measuring(self.line, self.ledger, observer)
        self.look: LookAt | None = None  # after every turn
        self.turned_at_s: float = monotonic()
        self._timing = timing
        self._inbox: Inbox[_Item] = Inbox()
        self._selector = selectors.DefaultSelector()
        self._inbox.register(self._selector)
        self._news = News(
            self._selector,
            Link("Redis", open_subscription, self._inbox.post, rng) if open_subscription is not None else None,
            Link("PostgreSQL", open_listener, self._inbox.post, rng) if open_listener is not None else None,
            self._news_stopped,
            self._news_doubted,
        )
        self._menders: list[Callable[[], object]] = []
        self._worker = Worker(self._run, "hotconfig-line")
        self._reading = ReadingThread(reader, self._inbox.post, self._worker.mend)
        self._stopping = self._over = False
        self._runs = self._stumbles = 0
        self._woken_s = monotonic()
        self._turning = threading.Lock()  # around the line, which a writing thread may use between two turns
        self._reconciler = Reconciler(
            self.line,
            self.ledger,
            self._measuring,
            self._reading.ask,
            hearing=lambda: self._news.hearing,
            timing=timing,
            rng=rng,
        )

    # Called by any thread ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start both threads; each looks after the other.

        Raises:
            RetryableError: the system has no thread to give, now.
        """
        overriding.appear(self)
        self._reading.worker.start()
        self._worker.start()

    def look_after(self, mend: Callable[[], object]) -> None:
        """Have ``mend`` called in every turn, to start other threads again that died. Call it before the start."""
        self._menders.append(mend)

    def mend(self) -> None:
        """Start again what died. The threads do so for each other; this is for when both did."""
        self._worker.mend()

    def stop(self, timeout_s: float) -> bool:
        """End both threads; False if one did not end in time. The values stay as they are."""
        deadline_s = monotonic() + timeout_s
        self._stopping = True
        self._reading.stop()
        self._inbox.wake()
        self.ledger.wake()
        ended = self._worker.join(timeout_s)
        if not self._worker.alive:
            self._clean_up()  # it never ran, or died
        for join in (self._reading.worker.join, self._news.join):
            ended = join(max(0.0, deadline_s - monotonic())) and ended
        return ended

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping

    def abandon(self) -> None:
        """In a forked child: let go of inherited descriptors without a word on any connection.

        Threads stay behind in the parent, but gevent's greenlets come along: they must find nothing to do here.
        """
        overriding.disappear(self)
        self._stopping = self._over = True
        self._worker.abandon()
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
        asked = Contact()
        self._ask(asked)
        try:
            asked.made.result(timeout_s)
        except TimeoutError:
            raise DatabaseUnavailableError(
                f"PostgreSQL did not answer within {round(timeout_s, 2):g} s; "
                f"last error: {self.ledger.last_error or 'none, it is silent'}"
            ) from None

    def follow(self, followed: Followed[Any]) -> Future[Any]:
        """Follow one more service. The future gives the live object, or says why there is none."""
        asked = Follow(followed)
        self._ask(asked)
        return asked.live

    def _ask(self, request: Request) -> None:
        """Hand over a request. It is answered also if the line has just ended."""
        self._inbox.post(request)
        if self._over:
            self._refuse()

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
            self._reconciler.judged(self.line.judge(change_set), None)
            self._measuring.flush()
        except BaseException:  # Ctrl-C goes to the main thread, wherever that is
            self._inbox.post(Command.SHOW)
            raise
        finally:
            self._turning.release()
        return True

    def override(self, followed: Followed[Any]) -> Rejected | None:
        """Show what :mod:`hotconfig.runtime.overriding` says, now, in the calling thread; see ``Line.override``.

        Works on a stopped follower, too. Waits for the line to finish what it is doing.

        Raises:
            RetryableError: it did not, for ``OVERRIDE_TIMEOUT_S``; it shows it as soon as it can.
        """
        if not self._turning.acquire(timeout=OVERRIDE_TIMEOUT_S):
            self._inbox.post(Command.SHOW)
            raise RetryableError(f"service {followed.service!r}: the line is busy, is a validator of yours waiting?")
        try:
            self._measuring.flush()
            return self.line.override(followed, overriding.texts_for(followed))
        except BaseException:  # Ctrl-C
            self._inbox.post(Command.SHOW)
            raise
        finally:
            self._turning.release()

    def forget(self, followed: Followed[Any]) -> None:
        """Give up a service that could not be loaded; not another attempt at it."""
        self._inbox.post(Forget(followed))

    def stand_in(self, followed: Followed[Any], given: StandIn) -> Future[Outcome | None]:
        """Show what is given until PostgreSQL answers; see :meth:`hotconfig.core.line.Line.stand_in`."""
        asked = StandingIn(followed, given)
        self._ask(asked)
        return asked.shown

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        """Have a JSON Schema stored, some time."""
        self._reading.register((service, schema_hash, json_schema))

    def wait_for(self, followed: Followed[Any], revision: int, timeout_s: float) -> bool:
        """Wait until the live object shows this revision or a newer one; False if it did not in time.

        Raises:
            InvalidStateError: the revision arrived and was rejected.
            NotStartedError: the follower was stopped meanwhile.
        """
        self.ledger.wait(lambda: self._stopping or shows(followed, revision), timeout_s)
        if shows(followed, revision):
            return True
        if self._stopping:
            raise NotStartedError("closed while waiting for a revision")
        return False

    def catch_up(self, followed: Followed[Any], revision: int, timeout_s: float = 1.0) -> None:
        """Read PostgreSQL now, and wait until the line knows this revision or a newer one."""
        self._inbox.post(Command.READ)
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
        """Whether both threads run."""
        return self._worker.alive and self._reading.worker.alive

    def _run(self) -> None:
        self._runs += 1
        if self._runs > 1:
            self._pick_up(str(self._restarted("hotconfig-line")))
        while not self._stopping:
            try:
                self._turn()
            except BaseException as error:  # outermost loop: nothing may end the line
                if isinstance(error, GeneratorExit):
                    raise
                if self._over:
                    return
                self.ledger.counters.line_errors += 1
                logger.exception("the line stumbled and goes on")
                self._stumbles += 1
                self._pick_up(f"unforeseen: {type(error).__name__}")
                self._pause()
            else:
                self._stumbles = 0
        self._clean_up()

    def _pause(self) -> None:
        """Not after a single failure; longer and longer where each turn fails."""
        if self._stumbles > 1:
            self.ledger.wait(lambda: self._stopping, min(MAX_PAUSE_S, 0.01 * 2 ** min(self._stumbles, 10)))

    def _pick_up(self, why: str) -> None:
        """Go on after the unforeseen: what was under way may be lost, what had arrived besides is still there."""
        self._news.drop_all(HotConfigError(why), monotonic())
        self._reconciler.schedule.failed(monotonic())
        self._inbox.wake()

    def _restarted(self, thread: str) -> HotConfigError:
        self.ledger.counters.restarts += 1
        logger.error("the thread %s had died and was started again", thread)
        return HotConfigError(f"the thread {thread} had died")

    def _turn(self) -> None:
        now_s = monotonic()
        due_s = now_s + (TURN_S if self.ledger.condition.settled else WATCHFUL_TURN_S)
        if self.line.followed:
            due_s = min(due_s, self._news.next_s(now_s))
        if self._reconciler.needed:
            due_s = min(due_s, self._reconciler.schedule.next_s(now_s))
        ready = [key.data for key, _ in self._selector.select(max(0.0, due_s - now_s))]
        woken_s = monotonic()
        before_s, self._woken_s = self._woken_s, woken_s
        try:
            with self._turning:
                self._take_turn(ready)
        finally:  # afterwards: whoever waits for what has come shall not wait for this
            self.ledger.late(woken_s, woken_s - max(due_s, before_s))

    def _take_turn(self, ready: list[object]) -> None:
        if self._inbox in ready:
            for item in self._inbox.take():
                self._take_item(item)
        for link in ready:
            if isinstance(link, Link):
                self._hear(link)
        self._tick(monotonic())
        self.turned_at_s = now_s = monotonic()
        self.ledger.condition.redis(now_s, self.connected, self._news.redis_lost_at_s(now_s))
        self.ledger.reckon(now_s, self._timing.stale_after_s)
        if self.look is not None:
            self.look(self.line.followed, self.ledger.verified_at_s)

    def _take_item(self, item: _Item) -> None:  # noqa: C901, PLR0912 - one case per kind of item
        match item:
            case Answer():
                self._answered(item)
            case HotConfigError():
                self._reconciler.unanswered(item)
            case Opened():
                self._opened(item)
            case OpenFailed(link, error):
                self._news.drop(link, error, monotonic())
            case ChangeSet():
                self._reconciler.judged(self.line.judge(item), None)
                self._measuring.flush()
            case Follow(followed, live):
                self._start_following(followed, live)
            case Forget(followed):
                if self.line.followed.get(followed.service) is followed:
                    del self.line.followed[followed.service]
                    self._reconciler.waiting.forget(followed.service)
            case StandingIn():
                self._reconciler.stand_in(item)
            case Contact(made):
                self._reconciler.waiting.contact(made)
                self._reconciler.schedule.want()
            case Command.READ:
                self._reconciler.schedule.want()
            case Command.SHOW:
                self._measuring.flush()
                self._show_overrides()
            case Link():
                self._hear(item)

    def _tick(self, now_s: float) -> None:
        if self._reading.worker.mend():
            self._reconciler.unanswered(self._restarted("hotconfig-reading"))
        for mend in self._menders:
            mend()
        if self.line.followed:
            self._news.tick(self.line.followed, now_s)
        self._reconciler.tick(now_s)

    def _show_overrides(self) -> None:
        """Show what overrides now, where somebody was kept from it."""
        for followed in self.line.followed.values():
            texts = overriding.texts_for(followed)
            if texts != followed.overrides:
                self.line.override(followed, texts)

    def _start_following(self, followed: Followed[Any], live: Future[Any]) -> None:
        self.line.followed[followed.service] = followed
        texts = overriding.texts_for(followed)
        if texts or followed.overrides:  # in a forked child one may have ended before its line came to life
            self.line.override(followed, texts)
        self._reconciler.waiting.load(followed.service, live)
        # Subscribe before reading: the confirmation asks for the read. If none comes, patience does.
        if self._news.follow(followed.service, monotonic()):
            self._reconciler.schedule.await_confirmation(followed.service, monotonic())
        else:
            self._reconciler.schedule.want()

    # News

    def _opened(self, opened: Opened) -> None:
        self.ledger.counters.connections += 1
        if not self._news.opened(opened, self.line.followed, monotonic()):
            self._reconciler.schedule.want()
        self._hear(opened.link)

    def _hear(self, link: Link) -> None:
        # The first message is shown at once; what else has piled up is taken together.
        for limit in (1, BATCH):
            events = self._news.receive(link, limit, monotonic())
            for event in events:
                self._take_event(link, event)
            self._measuring.flush()
            if len(events) < limit:
                return
        # More may be buffered in the driver, where the selector does not see it: come back for it.
        self._inbox.post(link)

    def _take_event(self, link: Link, event: Event) -> None:
        if isinstance(event, Message):
            self.ledger.counters.messages += 1
            self._reconciler.judged(self.line.receive(event.channel, event.data), event)
        elif isinstance(event, Notified):
            self._reconciler.judged(self.line.notified(*event), event)
        elif isinstance(event, Confirmed):
            link.confirmed()
            self._reconciler.schedule.want()
        else:
            link.ponged()

    def _news_stopped(self, link: Link, error: HotConfigError) -> None:
        self.ledger.note(error, again=link.failures > 1)
        self.ledger.counters.connection_failures += 1
        self._reconciler.news_stopped()

    def _news_doubted(self) -> None:
        self._reconciler.schedule.want()

    def _answered(self, answer: Answer) -> None:
        self._reconciler.answered(answer)
        self._observer.look()

    def _clean_up(self) -> None:
        if self._over:
            return
        self._over = True
        self._news.close()
        self._refuse()
        self._reconciler.waiting.give_up(NotStartedError(_CLOSED))
        self._selector.close()
        self._inbox.close()
        self.ledger.close()

    def _refuse(self) -> None:
        """Answer what nobody takes any more. Any thread: each item is one thread's alone."""
        for item in self._inbox.take():
            if isinstance(item, Opened):
                item.subscription.close()
            elif isinstance(item, Follow):
                item.live.set_exception(NotStartedError(_CLOSED))
            elif isinstance(item, Contact):
                item.made.set_exception(NotStartedError(_CLOSED))
            elif isinstance(item, StandingIn):
                item.shown.set_result(None)
