"""``hotconfig demo``: eight changes on real servers, and two other processes that see them.

Owns what happens in which order, from the servers' start to their end, and the exit status. Everything that was
started is gone when :func:`run_demo` returns or raises, and also when its process is killed.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import Final

from hotconfig.core.errors import EmbeddedServerError
from hotconfig.demo.places import Place, open_place
from hotconfig.demo.processes import NAMES, Subscribers
from hotconfig.demo.rounds import Measured, Result, Round, describe
from hotconfig.demo.views import Lines, Terminal, View, by_hand, started_as
from hotconfig.runtime.client import HotConfig

__all__ = ["run_demo"]

GOOD: Final = 0
BAD: Final = 1
NO_SERVERS: Final = 3
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""


def run_demo(*, once: bool, as_json: bool, database_url: str | None, redis_url: str | None) -> int:
    """Show one round, and after it whatever arrives until Ctrl-C. Returns the exit status.

    0: every change was visible in both processes in less than 100 ms. 1: not so. 3: there is no embedded server for
    this platform, or it does not start. 130: Ctrl-C before the round was over.

    Args:
        once: End after the round.
        as_json: Print one JSON object to standard output and nothing else. Implies ``once``.
        database_url, redis_url: Servers to use in place of embedded ones; both or neither.

    Raises:
        UsageError: one URL was given without the other.
        HotConfigError: of the servers that were named.
    """
    view = _view(as_json=as_json)
    demo = _Demo(view, once=once or as_json, as_json=as_json)
    try:
        with closing(view), open_place(database_url, redis_url, on_progress=view.progress) as place:
            demo.run(place)
    except EmbeddedServerError as error:
        sys.stderr.write(f"{error}\nhotconfig demo --database-url … --redis-url … runs on servers that are there.\n")
        return NO_SERVERS
    except KeyboardInterrupt:
        return INTERRUPTED if demo.result is None else _status(demo.result)
    return BAD if demo.result is None else _status(demo.result)


class _Demo:
    """One run. ``result`` is there as soon as the round is over."""

    def __init__(self, view: View, *, once: bool, as_json: bool) -> None:
        self.result: Result | None = None
        self._view = view
        self._once = once
        self._as_json = as_json

    def run(self, place: Place) -> None:
        with (
            closing(Subscribers(place.environment)) as subscribers,
            HotConfig(place.database_url, place.redis_url, schema=place.schema) as client,
        ):
            try:
                self._show(place, client, subscribers)
            finally:
                self._view.close()
                self._view.progress("ending everything that was started …")

    def _show(self, place: Place, client: HotConfig, subscribers: Subscribers) -> None:
        self._view.progress(f"starting {len(NAMES)} subscriber processes …")
        subscribers.wait_ready()
        self._view.progress("processes " + " and ".join(NAMES) + " are live")
        self._round(Round(client, subscribers), subscribers)
        if not self._once:
            self._follow(place, subscribers)

    def _round(self, steps: Round, subscribers: Subscribers) -> None:
        steps.prepare()
        self._view.begin()
        changes: list[Measured] = []
        for change in steps.measure():
            changes.append(change)
            self._view.measured(change)
        self.result = Result(tuple(changes))
        self._view.finish(describe(self.result, subscribers.wait_level("DEBUG")))
        if self._as_json:
            sys.stdout.write(json.dumps(self.result.as_json()) + "\n")
            sys.stdout.flush()

    def _follow(self, place: Place, subscribers: Subscribers) -> None:
        self._view.invite(by_hand(place, started_as(sys.argv[0])))
        for process, change in subscribers.follow():
            self._view.arrived(process, change)


def _view(*, as_json: bool) -> View:
    if as_json:
        return Lines(sys.stderr)
    return Terminal() if sys.stdout.isatty() else Lines(sys.stdout)


def _status(result: Result) -> int:
    return GOOD if result.good else BAD
