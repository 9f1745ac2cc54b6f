"""A reading process whose main thread has other things to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final

from benchmarks.declared import marked
from benchmarks.processes import Stamps
from benchmarks.subscribers import follow


def loaded(stamps: Stamps, database_url: str, redis_url: str, service: str, load: str, number: int) -> None:
    """Follow a service and do what ``load`` says: one of :data:`LOADS`. ``number`` is its port, or its size."""
    with_load = LOADS[load]
    follow(
        stamps,
        database_url,
        redis_url,
        [marked(service)],
        field="threshold",
        meanwhile=lambda live: with_load(live, number),
    )


def idle(_live: Any, _number: int) -> None:
    """Wait."""
    import threading

    threading.Event().wait()


def serving(live: Any, port: int) -> None:
    """Answer every HTTP request with the present value."""
    import uvicorn

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        body = f'{{"threshold": {live.threshold}}}'.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(application, host="127.0.0.1", port=port, log_level="error", access_log=False, lifespan="off")


def looping(live: Any, _number: int) -> None:
    """Run bytecode for ever: the interpreter takes the GIL away every :func:`sys.getswitchinterval` seconds."""
    total = 0.0
    while True:
        total += live.threshold


def calling(_live: Any, size: int) -> None:
    """Call into C for ever; nobody can take the GIL away within a call."""
    while True:
        sum(range(size))


LOADS: Final[Mapping[str, Callable[[Any, int], None]]] = {
    "main thread idle": idle,
    "serving under wrk": serving,
    "a loop in Python": looping,
    "long calls into C": calling,
}


def size_of_call(wanted_s: float) -> tuple[int, float]:
    """For :func:`calling`: how large a call must be to take so long here, and how long it takes (s)."""
    size = 1 << 20
    while True:
        begun_s = perf_counter()
        sum(range(size))
        took_s = perf_counter() - begun_s
        if took_s > wanted_s / 2:
            return size, took_s
        size *= 2


def holds_gil() -> bool:
    """Whether there is a GIL to hold. Free-threaded builds may run without."""
    is_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return is_enabled()
