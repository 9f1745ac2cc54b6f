"""``hotconfig relay``: the relay on its own, as a process that runs for ever."""

from __future__ import annotations

import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import typer

from hotconfig.cli.command import Call, command
from hotconfig.cli.connections import libpq_needed
from hotconfig.core.errors import ConfigurationError

if TYPE_CHECKING:
    from hotconfig.runtime.relay import Relay, Told

START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 5.0

_WORDS: Final = {
    "leading": "leading: commits that nobody announces are announced from here",
    "waiting": "waiting: another relay leads (who, says: hotconfig doctor)",
    "announced": "announced {service} {revision}",
    "lost": "the role is lost: {error}",
    "away": "cannot lead: {error}",
    "deaf": "every commit is announced, because what others announce is not heard: {error}",
    "redis away": "Redis does not take announcements, they wait: {error}",
    "redis back": "Redis takes announcements again",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(app, "relay")(relay)


def relay(call: Call) -> None:
    """Announce in Redis what nobody else did, such as commits made with psql, until Ctrl-C or SIGTERM.

    Any number may run: one leads, the others wait and take over within a second when it ends, within four when it
    freezes. Needs Redis, and PostgreSQL without a pooler in between.

    With --json one line of JSON for each event.
    """
    events = SimpleQueue["Told | None"]()
    with libpq_needed():
        from hotconfig.runtime.wiring import Wiring  # noqa: PLC0415 - psycopg may find no libpq

        redis_url = call.connections.redis
        wiring = Wiring(
            call.connections.database, redis_url, call.connections.schema, subscribe_all=False, listen=False
        )
        made = wiring.relay(events.put)
    with _ended_by_sigterm(events), _told_once(), _running(made):
        made.first_attempt(START_TIMEOUT_S)
        _report(call, events)


def _report(call: Call, events: SimpleQueue[Told | None]) -> None:
    """Until SIGTERM, or until only a person can help."""
    before = ""
    while (told := events.get()) is not None:
        if isinstance(told.error, ConfigurationError) and told.event in ("lost", "away"):
            raise told.error
        if told.event != before or told.event == "announced":
            _print(call, told)
        before = told.event


def _print(call: Call, told: Told) -> None:
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    error = call.connections.redacted(str(told.error)) if told.error is not None else None
    if call.out.as_json:
        parts: dict[str, Any] = {
            "at": at,
            "event": told.event,
            "service": told.service,
            "revision": told.revision,
            "error": error,
        }
        call.out.json_line({name: part for name, part in parts.items() if part is not None})
    else:
        words = _WORDS[told.event].format(service=told.service, revision=told.revision, error=error)
        call.out.line(f"{at}  {words}")


@contextmanager
def _running(relay: Relay) -> Generator[None]:
    relay.start()
    try:
        yield
    finally:
        relay.stop()
        relay.join(STOP_TIMEOUT_S)


@contextmanager
def _ended_by_sigterm(events: SimpleQueue[Told | None]) -> Generator[None]:
    def end(_signal: int, _frame: object) -> None:
        events.put(None)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _told_once() -> Generator[None]:
    """What the relay logs beside its events would be told twice; what it did not foresee is not among them."""
    logger = logging.getLogger("hotconfig.relay")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
