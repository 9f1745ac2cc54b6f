"""``hotconfig watch``: print commits as they happen, by Redis where there is one, else by looking every second."""

from __future__ import annotations

import select
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hotconfig.cli.catalog import find
from hotconfig.cli.command import Call, command
from hotconfig.cli.looking import moment
from hotconfig.cli.output import EMPTY, MAX_CELL, NULL, WITHHELD
from hotconfig.cli.tail import News, Tail
from hotconfig.core.chain import Change
from hotconfig.core.errors import AccessDeniedError, RetryableError
from hotconfig.core.names import PREFIX, service_pattern
from hotconfig.core.ports import Confirmed, Pong

if TYPE_CHECKING:
    from hotconfig.core.ports import Event, Subscription
    from hotconfig.core.wire import Keyring
    from hotconfig.redis.route import Route

POLL_S: Final = 1.0
"""How often to look into PostgreSQL without Redis."""
COMPARE_S: Final = 5.0
"""How often to compare with PostgreSQL, and to ask Redis for a sign of life, with Redis."""
REOPEN_S: Final = 2.0
_BATCH: Final = 1000


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(app, "watch")(watch)


def watch(
    call: Call,
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="These; else all.")] = None,
) -> None:
    """Print every change as it happens, until Ctrl-C: who, when, why and what. Sensitive values are not shown.

    With --json one line of JSON for each revision.
    """
    names = list(dict.fromkeys(services or []))
    with call.connections.archive() as archive, call.connections.writer() as writer:
        for name in names:
            find(archive, name)
        tail = Tail(archive, names, tell=lambda news: _tell(call, news), warn=call.out.urgent)
        keyring = writer.keyring()
        if call.connections.redis is None:
            call.out.urgent(f"no Redis is configured: looking into PostgreSQL every {POLL_S:g} s; Ctrl-C ends it")
            _poll(call, tail)
        else:
            _Ear(call, tail, names, keyring).listen()


def _poll(call: Call, tail: Tail) -> None:
    while True:
        select.select([], [], [], POLL_S)
        _survive(call, tail.look)


def _survive(call: Call, step: Callable[[], None]) -> bool:
    """Do it, or say why not: somebody who watches an outage wants to see its end."""
    try:
        step()
    except RetryableError as error:
        call.out.urgent(call.connections.redacted(str(error)))
        return False
    return True


class _Ear:
    """One subscription after the other."""

    def __init__(self, call: Call, tail: Tail, names: list[str], keyring: Keyring) -> None:
        self._call = call
        self._tail = tail
        self._names = names
        self._keyring = keyring
        self._route: Route | None = None
        self._answered = True
        self._announced = False

    def listen(self) -> None:
        """Listen for ever; while Redis is away, also at the start, look into PostgreSQL."""
        try:
            subscription = self._first()
            while True:
                _survive(self._call, lambda opened=subscription: self._follow(opened))  # type: ignore[misc]
                subscription.close()
                subscription = self._reopen()
        except AccessDeniedError as error:
            raise AccessDeniedError(f"{error} To watch {self._whom()} this user needs {self._channels()}") from error

    def _first(self) -> Subscription:
        try:
            return self._open()
        except RetryableError as error:
            said = self._call.connections.redacted(str(error))
            self._call.out.urgent(f"{said}; looking into PostgreSQL every {REOPEN_S:g} s until it does; Ctrl-C ends it")
            return self._reopen()

    def _open(self) -> Subscription:
        from hotconfig.redis.connect import find_route  # noqa: PLC0415 - redis is slow to import
        from hotconfig.redis.sharded import open_subscription  # noqa: PLC0415

        self._answered = True
        self._route = self._route or find_route(str(self._call.connections.redis))
        return open_subscription(self._route, self._names, subscribe_all=not self._names)

    def _reopen(self) -> Subscription:
        self._announced = False
        while True:
            select.select([], [], [], REOPEN_S)
            try:
                return self._open()
            except RetryableError:
                _survive(self._call, self._tail.look)

    def _follow(self, subscription: Subscription) -> None:
        """Until it breaks or falls silent."""
        due = monotonic() + COMPARE_S
        events: list[Event] = []
        while True:
            is_full = len(events) == _BATCH  # then more may lie in its buffers, where select does not see it
            wait_s = 0.0 if is_full else max(0.0, due - monotonic())
            readable, _, _ = select.select([subscription.fileno()], [], [], wait_s)
            events = []
            if readable or is_full:
                events = subscription.receive(_BATCH)
                self._answered = self._answered or any(isinstance(event, Pong) for event in events)
                self._announce(any(isinstance(event, Confirmed) for event in events))
                _survive(self._call, lambda heard=events: self._tail.hear(heard, self._keyring))  # type: ignore[misc]
            if monotonic() >= due:
                if not self._answered:
                    self._call.out.urgent("Redis does not answer any more; connecting anew")
                    return
                self._answered = False
                subscription.ping()
                _survive(self._call, self._tail.look)
                due = monotonic() + COMPARE_S

    def _announce(self, confirmed: bool) -> None:
        if confirmed and not self._announced:
            self._announced = True
            self._call.out.urgent(f"watching {self._whom()}; Ctrl-C ends it")

    def _whom(self) -> str:
        return ", ".join(self._names) or "every service"

    def _channels(self) -> str:
        return " ".join(f"&{service_pattern(name)}" for name in self._names) or f"&{PREFIX}*"


def _tell(call: Call, news: News) -> None:
    if call.out.as_json:
        call.out.json_line(news.document())
        return
    for change in news.changes:
        call.out.line(f"{moment(news.at)}  {news.service} {news.revision}  {_told(change)}  by {news.by}{_why(news)}")


def _told(change: Change) -> str:
    if change.deleted:
        return f"{change.key} deleted"
    if change.withheld:
        return f"{change.key} = {WITHHELD}"
    text = NULL if change.text is None else change.text or EMPTY
    return f"{change.key} = {text if len(text) <= MAX_CELL else text[:MAX_CELL] + '…'}"


def _why(news: News) -> str:
    return f"  ({news.reason})" if news.reason else ""
