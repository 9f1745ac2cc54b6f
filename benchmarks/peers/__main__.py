"""``python -m benchmarks.peers NAME``: measure one library as told on stdin; answers are JSON lists, one a line.

``read N`` gives N times the nanoseconds of a read, ``reload N`` the microseconds until a new value is read. With
``start`` after the name it tells how long the import took (ms) and what is resident for it (MB), and ends.
The servers are those of ``HOTCONFIG_BENCH_REDIS_URL`` and ``HOTCONFIG_BENCH_DATABASE_URL``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, perf_counter_ns
from timeit import Timer
from typing import Final

from benchmarks.peers.using import DATABASE, PEERS, REDIS, Peer, Servers, Use

UNROLLED: Final = 20
SAMPLE_S: Final = 0.005
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def main(name: str, *how: str) -> None:
    """Serve until stdin ends."""
    peer, servers = PEERS[name], Servers(os.environ[REDIS], os.environ[DATABASE])
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the library prints

    def answer(found: object) -> None:
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    try:
        if how == ("start",):
            answer(_start(peer, servers))
            answers.close()
            os._exit(0)  # nobody waits for threads
        exec(peer.statement, {})  # noqa: S102 - one of a few texts of the module beside
    except ModuleNotFoundError as error:
        answer({"absent": f"not installed: pip install '{peer.distribution}' ({error.name} is missing)"})
        return
    use = peer.use(servers)
    measure = {"read": _reader(use), "reload": _reloader(use)}
    answer({"version": version(peer.distribution.partition("[")[0]) if peer.distribution else ""})
    for line in sys.stdin:
        what, _, count = line.partition(" ")
        answer([measure[what]() for _ in range(int(count))])


def _start(peer: Peer, servers: Servers) -> list[float]:
    resident = _resident_mb()
    begun_s = perf_counter()
    exec(peer.statement, {})  # noqa: S102
    took_ms = (perf_counter() - begun_s) * 1e3
    use = (peer.whole or peer.use)(servers)
    eval(use.read, {"given": use.given})  # noqa: S307 - as above
    return [took_ms, _resident_mb() - resident]


def _reader(use: Use) -> Callable[[], float]:
    timer = Timer("\n".join([use.read] * UNROLLED), globals={"lent": use.given}, setup="given = lent")
    loops = 1
    while (took_s := timer.timeit(loops)) < SAMPLE_S and loops < 1 << 20:
        loops *= max(2, min(10, int(SAMPLE_S / max(took_s, 1e-7))))
    return lambda: timer.timeit(loops) / (loops * UNROLLED) * 1e9


def _reloader(use: Use) -> Callable[[], float]:
    number = 0

    def reload() -> float:
        nonlocal number
        number += 1
        use.bring(number)
        begun_ns = perf_counter_ns()
        use.reload(number)
        took_us = (perf_counter_ns() - begun_ns) / 1e3
        found = eval(use.read, {"given": use.given})  # noqa: S307
        assert found == (number % 2 == 0 if use.switch else float(number)), f"{found!r} is not the new value"
        return took_us

    return reload


def _resident_mb() -> float:
    """Of this process. The peak where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 1e6
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
