"""Due → attribute seen while the reading process idles, serves under wrk, loops in Python, or calls into C.

Open loop: a change is due at a fixed rate whatever reader and writer do, and its latency counts from when it was due,
so that one that waits for others counts in full. Where the reader takes several together, each counts as seen when a
value at least as new was shown.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from time import monotonic_ns
from typing import Final

from benchmarks.commits import Commit, committer
from benchmarks.figures.commit_figure import delays_ms
from benchmarks.loads import LOADS, holds_gil, loaded, size_of_call
from benchmarks.places import Place
from benchmarks.processes import Seen, Subscriber, subscriber
from benchmarks.results import Judged, Row, Summary, percentile
from benchmarks.turns import ROUND
from benchmarks.ways.skipping import skipped
from benchmarks.wrk import CONNECTIONS, Served, Wrk, free_port

FIGURE: Final = "load"
RATE_PER_S: Final = 50
BOUND_MS: Final = 100.0
CALL_S: Final = 0.25
WARM_UP: Final = 25
_IDLE, _SERVING, _LOOPING, _CALLING = LOADS
_LAST_WITHIN_S: Final = 60.0
_HOW: Final = {
    _IDLE: "the main thread waits.",
    _SERVING: f"uvicorn answers {CONNECTIONS} connections of wrk from the live value, as fast as it can.",
    _LOOPING: "the main thread adds numbers in bytecode; each thread that wants the GIL waits for the switch interval.",
    _CALLING: "the main thread calls sum(range(n)) again and again; no other thread can run within a call.",
}


@dataclass(frozen=True, slots=True)
class _Sample:
    due_ms: list[float]
    committed_ms: list[float]
    also: dict[str, float]

    def telling(self, more: dict[str, float]) -> _Sample:
        return replace(self, also=self.also | more)


def measure(place: Place) -> list[Row]:
    """Two rows for each load; one that says so where something is missing."""
    rows: list[Row] = []
    with committer(place) as commit:
        for load in LOADS:
            place.tell(f"{load} …")
            reason = _missing(load)
            rows += [skipped(FIGURE, load, reason)] if reason else _rows(load, _measured(place, load, commit))
    return rows


def _missing(load: str) -> str:
    if load != _SERVING:
        return ""
    if shutil.which("wrk") is None:
        return "no wrk on PATH: apt-get install wrk"
    return "" if find_spec("uvicorn") else "uvicorn is not installed: pip install uvicorn"


def _measured(place: Place, load: str, commit: Commit) -> _Sample:
    count = WARM_UP + RATE_PER_S * place.pick(20, 3)
    number, call_s = size_of_call(CALL_S) if load == _CALLING else (free_port(), 0.0)
    service = f"bench-load-{list(LOADS).index(load)}"
    with subscriber(loaded, place.database_url, place.redis_url, service, load, number) as reader:
        if load != _SERVING:
            also = {"one call takes [ms]": call_s * 1e3} if load == _CALLING else {}
            return _steadily(commit, service, count, reader).telling(also)
        wrk = Wrk(number, count // RATE_PER_S + 1)
        try:
            sample = _steadily(commit, service, count, reader)
            return sample.telling(_served(wrk.served()))
        finally:
            wrk.end()


def _steadily(commit: Commit, service: str, count: int, reader: Subscriber) -> _Sample:
    """Commit the values 1 to ``count``, each when it is due, or at once where it is overdue."""
    due_ns: list[int] = []
    committed_ns: list[int] = []
    seen: list[Seen] = []
    start_ns = monotonic_ns()
    for number in range(1, count + 1):
        seen += reader.seen_by_now()
        due_ns.append(start_ns + number * 1_000_000_000 // RATE_PER_S)
        time.sleep(max(0.0, (due_ns[-1] - monotonic_ns()) / 1e9))
        committed_ns.append(commit(service, "threshold", str(number)))
        ROUND.get()(number, count)
    while not seen or seen[-1][1] < count:
        seen.append(reader.seen(_LAST_WITHIN_S))
    late_ms = sorted((committed - due) / 1e6 for due, committed in zip(due_ns, committed_ns, strict=True))
    also = {"due → commit, p50 [ms]": percentile(late_ms, 0.50), "due → commit, maximum [ms]": late_ms[-1]}
    return _Sample(delays_ms(due_ns, seen)[WARM_UP:], delays_ms(committed_ns, seen)[WARM_UP:], also)


def _served(served: Served) -> dict[str, float]:
    return {"requests per second": served.per_second, "failed requests": float(served.failed)}


def _rows(load: str, sample: _Sample) -> list[Row]:
    gil = "" if holds_gil() else " This build runs without a GIL."
    how = f"{RATE_PER_S} changes per second, open loop; {_HOW[load]}{gil}"
    spans = {"due": sample.due_ms, "commit": sample.committed_ms}
    return [
        Row(
            figure=FIGURE,
            name=f"{load}: {span} → seen",
            unit="ms",
            measured=Summary.of(delays),
            how=how,
            judged=Judged.P999,
            bound=BOUND_MS if span == "due" and load != _CALLING else None,
            below=True,
            warm_up=WARM_UP,
            also=sample.also if span == "due" else {},
        )
        for span, delays in spans.items()
    ]
