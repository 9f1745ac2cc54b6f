"""A service on gevent. ``before``: patched before all imports, as gevent wants it; ``after``: once hotconfig is
imported; ``late``: even after psycopg, which has to be refused.
"""

from __future__ import annotations

import json
import sys
import time

if sys.argv[1] == "before":
    from gevent import monkey

    monkey.patch_all()

import gevent
from pydantic import BaseModel

import hotconfig

if sys.argv[1] == "after":
    from gevent import monkey

    from hotconfig import HotConfig  # noqa: F401 - loads the threads' side

    monkey.patch_all()

if sys.argv[1] == "late":
    import psycopg  # noqa: F401 - which then waits for PostgreSQL without letting other greenlets run
    from gevent import monkey

    monkey.patch_all()


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


def main() -> None:
    gaps: list[float] = []

    def beat() -> None:
        before_s = time.monotonic()
        while True:
            gevent.sleep(0.01)
            now_s = time.monotonic()
            gaps.append(now_s - before_s)
            before_s = now_s

    told: list[int] = []
    with hotconfig.HotConfig.from_env() as hc:
        settings = hc.bind(Served)
        heart = gevent.spawn(beat)
        hc.on_change(settings, lambda change: told.append(change.new.number))
        for number in (1, 2, 3):
            hc.wait_for(hc.store.set(settings, number=number, by="a greenlet"))
        print("ready", flush=True)
        with gevent.Timeout(60):
            while settings.number != 7:
                gevent.sleep(0.01)
            while told[-1] != 7:
                gevent.sleep(0.01)
        state, redis = hc.status().state.name, hc.status().redis
        heart.kill()
    print(json.dumps({"told": told, "gap_s": max(gaps), "state": state, "redis": redis}), flush=True)


if __name__ == "__main__":
    main()
