"""A service that is kept from running, or from having what it needs, in one of the ways at the end."""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from pydantic import BaseModel

import hotconfig


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def until(seen: Callable[[], object], what: str) -> None:
    deadline_s, pause = time.monotonic() + 60, threading.Event()
    while not seen():
        if time.monotonic() > deadline_s:
            sys.exit(f"not in time: {what}")
        pause.wait(0.01)


def holding_the_interpreters_lock(hc: hotconfig.HotConfig, settings: Served) -> None:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    end_s = time.monotonic() + 2.5
    say(holding=True)
    while time.monotonic() < end_s:
        pass
    held = settings.number
    sys.setswitchinterval(before_s)
    until(lambda: settings.number == 1, "the change")
    say(held=held, number=settings.number, lag_s=hc.status().lag_s)


def stopped(hc: hotconfig.HotConfig, settings: Served) -> None:
    say(pid=os.getpid())
    until(lambda: settings.number == 1, "the change")
    until(lambda: hc.status().state is hotconfig.State.READY, "ready again")
    say(number=settings.number, lag_s=hc.status().lag_s)


def out_of_descriptors(hc: hotconfig.HotConfig, settings: Served) -> None:
    used = max(int(open_file.name) for open_file in Path("/proc/self/fd").iterdir()) + 8
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        say(full=True)
    until(lambda: hc.status().redis == "away", "Redis away")
    until(lambda: settings.number == 1, "the change, by polling on the connection that there is")
    another = hotconfig.HotConfig.from_env()
    try:
        another.start(timeout=1)
    except hotconfig.RetryableError as error:
        say(refused=type(error).__name__, number=settings.number)
    another.close()
    for descriptor in taken:
        os.close(descriptor)
    until(lambda: hc.status().redis == "connected", "Redis again")
    hc.wait_for(hc.store.set(settings, number=2, by="a program"), 60)
    say(number=settings.number)


def with_many_descriptors(hc: hotconfig.HotConfig, settings: Served) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    for number in (1, 2, 3):  # the first write makes connections, the others look whether they are still good
        hc.wait_for(hc.store.set(settings, number=number, by="a program"), 60)
    say(number=settings.number, descriptors=psutil.Process().num_fds() > 1100)
    for descriptor in taken:
        os.close(descriptor)


WAYS: dict[str, Callable[[hotconfig.HotConfig, Served], None]] = {
    "gil": holding_the_interpreters_lock,
    "stopped": stopped,
    "descriptors": out_of_descriptors,
    "many": with_many_descriptors,
}


def main(way: str) -> None:
    poll_s = 0.2 if way == "descriptors" else 600
    with hotconfig.HotConfig.from_env(timing=hotconfig.Timing(reconcile_s=600, poll_s=poll_s)) as hc:
        settings = hc.bind(Served)
        until(lambda: hc.status().redis == "connected", "Redis")
        WAYS[way](hc, settings)


if __name__ == "__main__":
    main(sys.argv[1])
