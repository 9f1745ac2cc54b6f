"""A subscriber process of the demo: an ordinary application with six live settings objects, that says what it sees.

Run as ``python -m hotconfig.demo.subscriber`` with the environment that ``HotConfig.from_env`` reads: URLs hold
passwords, and everybody on the machine can read a command line. Ends when its standard input does, so it does not
outlive the process that started it, however that ends.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel

from hotconfig.core.declaration import service_of
from hotconfig.core.errors import HotConfigError
from hotconfig.core.listeners import Changed
from hotconfig.demo.protocol import (
    ORDERS,
    REPORTS,
    SEEN_WITHIN_S,
    SHOWN_WITHIN_S,
    Arrived,
    Follow,
    Level,
    Order,
    Ready,
    Report,
    Seen,
    Show,
    Shown,
    Watch,
    Watching,
)
from hotconfig.demo.services import ALL_SETTINGS, LoggingSettings, text_of, value_of
from hotconfig.runtime.client import HotConfig

LOOK_EVERY_S: Final = 0.0002
"""Between two looks at an attribute while one change is awaited: a report is late by up to this, and never early."""

running_logger: Final = logging.getLogger("hotconfig.demo.subscriber")


class Subscriber:
    """Binds every class of the demo and obeys orders. ``report`` is called from several threads."""

    def __init__(self, client: HotConfig, report: Callable[[Report], None]) -> None:
        self._client = client
        self._report = report
        self._live: dict[str, BaseModel] = {service_of(kind): client.bind(kind) for kind in ALL_SETTINGS}
        level = client.bind(LoggingSettings)  # the same object again, with its type
        running_logger.setLevel(level.level)
        client.on_change(level, self._set_level, key="level")
        report(Ready())

    def obey(self, order: Order) -> None:
        """Do what is asked, without waiting for it: orders are read on, and with them the end of the input."""
        match order:
            case Watch():
                threading.Thread(target=self._watch, args=(order,), daemon=True).start()
            case Show():
                threading.Thread(target=self._show, args=(order,), daemon=True).start()
            case Follow():
                for settings in self._live.values():
                    self._client.on_change(settings, self._tell)

    def _watch(self, order: Watch) -> None:
        """Look at the attribute itself, as application code would, rather than at any message about it."""
        settings = self._live[order.service]
        new = value_of(type(settings), order.key, order.text)
        never = threading.Event()
        deadline_s = time.monotonic() + SEEN_WITHIN_S
        self._report(Watching(order.number))
        while getattr(settings, order.key) != new:
            if time.monotonic() > deadline_s:
                self._report(Seen(order.number, None))
                return
            never.wait(LOOK_EVERY_S)
        self._report(Seen(order.number, time.monotonic_ns()))

    def _show(self, order: Show) -> None:
        try:
            for service, revision in order.revisions.items():
                self._client.wait_for(revision, SHOWN_WITHIN_S, settings=self._live[service])
        except HotConfigError as error:
            running_logger.error("%s", error)  # noqa: TRY400 - the message is made for people, the trace is not
            self._report(Shown(order.number, ok=False))
        else:
            self._report(Shown(order.number, ok=True))

    def _set_level(self, change: Changed[LoggingSettings]) -> None:
        """What a service does with its level: the logger that is in use changes, not the next one."""
        running_logger.setLevel(change.new.level)
        self._report(Level(logging.getLevelName(running_logger.getEffectiveLevel())))

    def _tell(self, change: Changed[Any]) -> None:
        after_ms = _since_ms(change.at)
        settings_class = type(self._live[change.service])
        for key in sorted(change.keys):
            old, new = (text_of(settings_class, key, getattr(one, key)) for one in (change.old, change.new))
            self._report(Arrived(change.service, key, old, new, change.revision, change.by, after_ms))


class Pipe:
    """Writes reports to standard output, one whole line at a time, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def send(self, report: Report) -> None:
        """Write one report. Nobody reads it when the parent has died; the end of the input is about to tell."""
        with self._lock:
            try:
                os.write(1, REPORTS.dump_json(report) + b"\n")
            except BrokenPipeError:
                return


def _since_ms(at: str | None) -> float | None:
    """Milliseconds from PostgreSQL's clock to this machine's."""
    if not at:
        return None
    moment = datetime.fromisoformat(at)
    return (datetime.now(UTC) - moment).total_seconds() * 1000


def main() -> int:
    """Serve until standard input ends. 3: it could not start, and standard error says why."""
    try:
        with HotConfig.from_env() as client:
            subscriber = Subscriber(client, Pipe().send)
            for line in sys.stdin.buffer:
                subscriber.obey(ORDERS.validate_json(line))
    except HotConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
