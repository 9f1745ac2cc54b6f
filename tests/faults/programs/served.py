"""A service whose import starts hotconfig, as that of an application does under a server that forks.

Every process writes down its birth and what its listener was told, one JSON object a line, into ``$SERVED_LOG``.
Nothing is ever read again on the clock's account here: who hears of a change has heard the news.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import hotconfig

LOG = Path(os.environ["SERVED_LOG"])


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


def note(kind: str, **more: object) -> None:
    line = json.dumps({"kind": kind, "pid": os.getpid(), **more}) + "\n"
    with LOG.open("a", buffering=1) as log:  # one write with O_APPEND: lines of several processes stay whole
        log.write(line)


def told(change: hotconfig.Changed[Served]) -> None:
    counters = hc.status().counters
    counted = {name: counters[name] for name in ("messages", "reads", "connection_failures", "read_failures")}
    note("told", number=change.new.number, shown=settings.number, **counted)


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """WSGI."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [answer()]


async def asgi(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """ASGI."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer()})


def answer() -> bytes:
    return json.dumps({"pid": os.getpid(), "number": settings.number}).encode()


os.register_at_fork(after_in_child=lambda: note("born"))
hc = hotconfig.HotConfig.from_env(timing=hotconfig.Timing(reconcile_s=600, poll_s=600))
hc.start()
settings = hc.bind(Served)
hc.on_change(settings, told)
note("born")
