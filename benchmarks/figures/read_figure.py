"""Reading ``live.threshold`` against the same attribute of a plain pydantic-settings instance.

Each sample is the mean of many reads in a loop that the interpreter has specialized for its arm. All arms run under
the same load: none, or 1,000 signed change sets per second that another thread takes through the whole line, from
decoding to the swap.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from timeit import Timer
from typing import Any, Final

from benchmarks.declared import AISettings, PlainSettings
from benchmarks.places import Place
from benchmarks.results import Row, Summary
from benchmarks.turns import in_turns
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.followed import Followed
from hotconfig.core.judge import Loaded
from hotconfig.core.line import Line
from hotconfig.core.wire import encode

BOUND: Final = 1.10
SWAPS_PER_S: Final = 1000
UNROLLED: Final = 20
LOOPS: Final = 5000
WARM_UP: Final = 5
_SERVICE: Final = "bench-ai"
_KEYRING: Final = {1: bytes(32)}
_CHANNEL: Final = f"config:{_SERVICE}:@commits".encode()


class Proxy:
    """What a live object would be if it forwarded: for comparison."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def measure(place: Place) -> list[Row]:
    """Four rows with a bound or for comparison; needs no server."""
    rounds = place.pick(100, 30)
    line, live = live_settings()
    rows = []
    for load, context in (("no changes", nullcontext()), (f"{SWAPS_PER_S:,} swaps/s", swapping(line))):
        with context as swaps:
            arms = {name: read_ns(read) for name, read in _arms(live).items()}
            samples = in_turns(arms, rounds, warm_up=WARM_UP)
        rows += _rows(samples, load, swaps() if swaps is not None else "")
    return rows


def live_settings() -> tuple[Line, AISettings]:
    """A line with one service at its beginning, and the live object that it drives."""
    line = Line(lambda _: None)
    line.keyring = _KEYRING
    followed = Followed(Blueprint(AISettings))
    line.followed[_SERVICE] = followed
    start = genesis(_SERVICE)
    line.load(Loaded(service=_SERVICE, asked=start, head=start, known=True, changes=()))
    assert followed.live is not None
    return line, followed.live


@contextmanager
def swapping(line: Line) -> Generator[Callable[[], str]]:
    """Let another thread take :data:`SWAPS_PER_S` changes through the line. Lends how many there really were."""
    stop = threading.Event()
    done = [0, time.monotonic()]

    def run() -> None:
        head = genesis(_SERVICE)
        due_s = time.monotonic()
        while not stop.is_set():
            parent, head = head, Head(head.revision + 1, head.revision.to_bytes(32, "big"))
            change = Change("threshold", f"0.{head.revision}")
            line.receive(_CHANNEL, encode(ChangeSet(_SERVICE, parent, head, (change,), "", "bench"), _KEYRING))
            line.flush()
            done[0] = head.revision
            due_s += 1 / SWAPS_PER_S
            # The readers never wait, so this thread gets the interpreter every 5 ms only: then it catches up.
            if (early_s := due_s - time.monotonic()) > 0:
                time.sleep(early_s)

    def tell() -> str:
        return f"; really {done[0] / (time.monotonic() - done[1]):.0f} swaps/s"

    thread = threading.Thread(target=run, name="swaps")
    thread.start()
    try:
        yield tell
    finally:
        stop.set()
        thread.join()


def read_ns(settings: Any) -> Callable[[], float]:
    """A function that reads many times and returns nanoseconds per read. Every call makes its own code object."""
    timer = Timer("\n".join(["settings.threshold"] * UNROLLED), globals={"given": settings}, setup="settings = given")
    return lambda: timer.timeit(LOOPS) / (LOOPS * UNROLLED) * 1e9


def _arms(live: AISettings) -> dict[str, Any]:
    plain = PlainSettings()
    return {"plain": plain, "live": live, "proxy": Proxy(plain)}


def _rows(samples: dict[str, list[float]], load: str, swaps: str) -> list[Row]:
    how = f"each of n is the mean of {LOOPS * UNROLLED:,} reads, all arms in turns under the same load{swaps}."
    floor = Summary.of(samples["plain"])
    return [
        Row(
            figure="read",
            name=f"{name}, {load}",
            unit="ns",
            measured=Summary.of(samples[arm]),
            how=how,
            floor=floor,
            floor_name="a plain pydantic-settings instance",
            bound=bound,
            warm_up=WARM_UP,
        )
        for arm, name, bound in (("live", "live.threshold", BOUND), ("proxy", "a __getattr__ proxy", None))
    ]
