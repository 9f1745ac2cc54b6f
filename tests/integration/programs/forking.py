"""A service that forks after start: each child reports what it sees, without a call of its own."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from pydantic import BaseModel

import hotconfig

DEADLINE_S = 20.0


@hotconfig.settings(service="forking")
class Forking(BaseModel):
    threshold: float = 0.75


def child(settings: Any, pipe: Connection) -> None:
    """Wait for the parent's change, make one, wait for the next."""
    pipe.send("born")
    until(lambda: settings.threshold == 0.5)
    pipe.send(f"saw 0.5 in {os.getpid()}")
    until(lambda: settings.threshold == 0.6)
    pipe.send("saw 0.6")


def until(seen: Any) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not seen():
        if time.monotonic() > deadline_s:
            sys.exit("not seen in time")
        pause.wait(0.001)


def main() -> None:
    with hotconfig.HotConfig.from_env() as hc:
        settings = hc.bind(Forking)
        told: list[float] = []
        hc.on_change(settings, lambda change: told.append(change.new.threshold))
        context = multiprocessing.get_context("fork")
        pairs = []
        for _ in range(3):
            ours, theirs = context.Pipe()
            process = context.Process(target=child, args=[settings, theirs])
            process.start()
            pairs.append((ours, process))
        for value in (0.5, 0.6):
            for pipe, _ in pairs:
                assert pipe.poll(DEADLINE_S)
                print(pipe.recv(), flush=True)
            hc.store.set(settings, threshold=value, by="parent")
        for pipe, process in pairs:
            assert pipe.poll(DEADLINE_S)
            print(pipe.recv(), flush=True)
            process.join(DEADLINE_S)
            print("exit", process.exitcode, flush=True)
        hc.wait_for(hc.store.set(settings, threshold=0.9, by="parent"))
        until(lambda: told == [0.5, 0.6, 0.9])
        counters = hc.status().counters
        print("parent", settings.threshold, counters["connection_failures"], counters["read_failures"], flush=True)


if __name__ == "__main__":
    main()
