"""A program that ends in the middle of something, at a moment that its seed decides. It must end with 0 and no word."""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from pydantic import BaseModel

import hotconfig


@hotconfig.settings(service="leaving")
class Leaving(BaseModel):
    number: int = 0


@hotconfig.settings(service="leaving-too")
class LeavingToo(BaseModel):
    number: int = 0


BY = "a program that ends"
Client = hotconfig.HotConfig


def client(**timing: float) -> Client:
    return hotconfig.HotConfig.from_env(timing=hotconfig.Timing(**timing) if timing else None)


def endlessly(work: Callable[[], object], *, daemon: bool = True, seconds: float = 3600) -> threading.Thread:
    """A thread that does ``work`` over and over, until hotconfig says that it is closed."""

    def run() -> None:
        end_s = time.monotonic() + seconds
        with contextlib.suppress(hotconfig.NotStartedError):
            while True:
                with contextlib.suppress(hotconfig.RetryableError):
                    work()
                if time.monotonic() > end_s:
                    break

    thread = threading.Thread(target=run, daemon=daemon)
    thread.start()
    return thread


def write(hc: Client, settings: Leaving) -> Callable[[], object]:
    return lambda: hc.store.set(settings, number=random.randrange(10**9), by=BY)


def in_the_middle_of_start() -> None:
    endlessly(client().start, seconds=0)


def in_the_middle_of_binding() -> None:
    hc = client()
    hc.start()
    endlessly(lambda: (hc.bind(Leaving), hc.bind(LeavingToo)))


def in_the_middle_of_reconciling() -> None:
    hc = client(reconcile_s=0.01, poll_s=0.01)
    hc.start()
    hc.bind(Leaving)


def in_the_middle_of_writing() -> None:
    hc = client()
    hc.start()
    settings = hc.bind(Leaving)
    for _ in range(3):
        endlessly(write(hc, settings))


def from_a_listener_that_writes() -> None:
    hc = client()
    hc.start()
    settings = hc.bind(Leaving)
    hc.on_change(settings, lambda _: write(hc, settings)())
    write(hc, settings)()


def with_a_listener_that_takes_its_time() -> None:
    hc = client()
    hc.start()
    settings = hc.bind(Leaving)
    hc.on_change(settings, lambda _: time.sleep(0.2))
    write(hc, settings)()


def with_a_thread_that_outlives_main() -> None:
    hc = client()
    hc.start()
    settings = hc.bind(Leaving)
    endlessly(lambda: (write(hc, settings)(), settings.number), daemon=False, seconds=0.1)


def with_a_thread_that_begins_when_main_has_ended() -> None:
    main = threading.main_thread()

    def begin() -> None:
        main.join()
        with contextlib.suppress(hotconfig.RetryableError, hotconfig.NotStartedError), client() as hc:
            hc.bind(Leaving)

    threading.Thread(target=begin).start()


def with_sys_exit_in_a_thread() -> None:
    hc = client()
    hc.start()
    settings = hc.bind(Leaving)

    def leave() -> None:
        write(hc, settings)()
        sys.exit(3)

    threading.Thread(target=leave).start()


def with_handlers_that_still_read() -> None:
    hc = client()

    def read() -> None:
        assert settings.number >= 0
        assert hotconfig.snapshot(settings).number >= 0
        hc.status()

    atexit.register(read)  # runs after hotconfig's own
    hc.start()
    settings = hc.bind(Leaving)
    atexit.register(read)  # runs before it
    endlessly(write(hc, settings))


def with_everything_dropped() -> None:
    hc = client()
    hc.start()
    hc.on_change(hc.bind(Leaving), print)
    del hc
    gc.collect()


def in_the_middle_of_closing() -> None:
    hc = client()
    hc.start()
    hc.bind(Leaving)
    threading.Thread(target=hc.close, daemon=random.random() < 0.5).start()


def in_an_event_loop() -> None:
    import asyncio

    async def run() -> None:
        hc = client()
        await hc.aio.start()
        settings = await hc.aio.bind(Leaving)
        hc.changes(settings)
        await hc.aio.store.set(settings, number=random.randrange(10**9), by=BY)

    asyncio.run(run())


MOMENTS = [
    in_the_middle_of_start,
    in_the_middle_of_binding,
    in_the_middle_of_reconciling,
    in_the_middle_of_writing,
    from_a_listener_that_writes,
    with_a_listener_that_takes_its_time,
    with_a_thread_that_outlives_main,
    with_a_thread_that_begins_when_main_has_ended,
    with_sys_exit_in_a_thread,
    with_handlers_that_still_read,
    with_everything_dropped,
    in_the_middle_of_closing,
    in_an_event_loop,
]


def many(first: int, count: int) -> None:
    """One forked child per seed, which goes through the whole end of an interpreter; prints what was wrong."""
    from hotconfig.postgres import truth  # noqa: F401 - imported once for all
    from hotconfig.redis import publish, subscribe  # noqa: F401

    for seed in range(first, first + count):
        with tempfile.TemporaryFile() as errors:
            if (pid := os.fork()) == 0:
                os.dup2(errors.fileno(), 2)
                main(seed)
                return
            code = _wait(pid)
            errors.seek(0)
            said = errors.read()
            if code or said:
                print(json.dumps([seed, MOMENTS[seed % len(MOMENTS)].__name__, code, said.decode()]), flush=True)


def _wait(pid: int) -> int:
    deadline_s, pause = time.monotonic() + 60, threading.Event()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline_s:
            os.kill(pid, signal.SIGKILL)
        pause.wait(0.005)


def concerns_the_end(record: logging.LogRecord) -> bool:
    """Whether a line of the log is a complaint. While main runs, a Redis that is slow to answer is news, and true."""
    return record.levelno > logging.WARNING or not threading.main_thread().is_alive()


def main(seed: int) -> None:
    logging.getLogger("hotconfig.follower").addFilter(concerns_the_end)
    random.seed(seed)
    MOMENTS[seed % len(MOMENTS)]()
    time.sleep(random.choice([0.0, random.uniform(0, 0.005), random.uniform(0, 0.05)]))
    if random.random() < 0.5:
        sys.exit(0)


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]]
    many(*numbers) if len(numbers) > 1 else main(*numbers)
