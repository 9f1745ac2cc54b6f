"""Forks in many ways, once hotconfig runs; see the table at the end. Children live until standard input ends.

Prints ``ready``, then, after standard input has ended and all children have, one JSON object about itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import psutil

from tests.faults.programs import served

Ending = Callable[[], list[int]]
"""Lets all children end and returns their exit codes."""


def linger(pipe: Connection) -> None:
    """What a child of multiprocessing does."""
    served.note("lingering")
    pipe.poll(60)


def by_multiprocessing(method: str) -> Ending:
    if method == "forkserver":
        multiprocessing.set_forkserver_preload(["tests.faults.programs.served"])
    context = multiprocessing.get_context(method)
    ours, theirs = zip(*(context.Pipe() for _ in range(2)), strict=True)
    children = [context.Process(target=linger, args=[pipe]) for pipe in theirs]  # type: ignore[attr-defined]
    for child in children:
        child.start()

    def end() -> list[int]:
        for pipe in ours:
            pipe.send("end")
        for child in children:
            child.join(30)
        codes = [child.exitcode for child in children]
        for each in (*ours, *theirs, *children):
            each.close()
        return codes

    return end


def fork(work: Callable[[int], object]) -> Ending:
    """Fork a child that works until the other end of its pipe is closed, given the reading one."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(writing)
        try:
            work(reading)
        except BaseException as error:  # noqa: BLE001 - the test is told
            served.note("failed", error=repr(error))
            os._exit(1)
        os._exit(0)
    os.close(reading)

    def end() -> list[int]:
        os.close(writing)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]

    return end


def until_closed(reading: int) -> None:
    os.read(reading, 1)


def nested() -> Ending:
    def parent_and_child(reading: int) -> None:
        end = fork(until_closed)
        until_closed(reading)
        assert end() == [0]

    return fork(parent_and_child)


def in_a_thread() -> Ending:
    made: list[Ending] = []
    thread = threading.Thread(target=lambda: made.append(fork(until_closed)))
    thread.start()
    thread.join()
    return made[0]


def by_subprocess() -> Ending:
    """Fork and exec, also with a function in between, for which Python calls the hooks of a fork."""
    program = [sys.executable, "-c", "print('hello')"]
    runs = [
        subprocess.run(program, capture_output=True, check=False),
        subprocess.run(program, capture_output=True, check=False, preexec_fn=os.getpid),
        *(subprocess.run(["/bin/true"], capture_output=True, check=False, preexec_fn=os.getpid) for _ in range(20)),
    ]
    assert all(run.stderr == b"" for run in runs), [run.stderr for run in runs]
    return lambda: [run.returncode for run in runs]


def exiting_the_long_way() -> Ending:
    """A child that goes through the interpreter's whole end, handlers and destructors."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(writing)
        until_closed(reading)
        sys.exit(0)
    os.close(reading)

    def end() -> list[int]:
        os.close(writing)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]

    return end


def with_locks_held() -> Ending:
    """Fork while another thread holds every lock that hotconfig has; the child then uses everything."""
    hc, held, forked = served.hc, threading.Event(), threading.Event()
    hc.store._turns["served"] = threading.Lock()
    follower, dispatcher = hc._follower, hc._dispatcher
    assert follower is not None
    locks = [
        hc._lock,
        dispatcher._lock,
        hc.store._turns["served"],
        follower.ledger._moved,
        follower._reading._wakeup,
        follower._news._links[0]._lock,
        *(listener._lock for listener in dispatcher._listeners["served"]),
        *([hc._publisher._writer._sessions._lock] if hc._publisher else []),  # type: ignore[attr-defined]
    ]

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        forked.wait(30)
        for lock in locks:
            lock.release()

    def use_everything(reading: int) -> None:
        hc.wait_for(hc.store.set(served.settings, number=1, by="a child"), 30)
        assert served.settings.number == 1
        assert hc.bind(served.Served) is served.settings
        hc.on_change(served.settings, print)()
        hc.status()
        until_closed(reading)
        hc.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    end = fork(use_everything)
    forked.set()
    holder.join()
    return end


def fifty_under_a_stream_of_changes() -> Ending:
    """Each child waits until it has seen three more changes, and until what its listener keeps agrees."""
    hc, over = served.hc, threading.Event()
    kept = [0]
    hc.on_change(served.settings, lambda change: kept.__setitem__(0, change.new.number))

    def write() -> None:
        while not over.wait(0.002):
            hc.store.set(served.settings, number=served.settings.number + 1, by="the parent")

    def see_three_more(_: int) -> None:
        first, deadline_s, pause = served.settings.number, time.monotonic() + 60, threading.Event()
        while served.settings.number < first + 3 or kept[0] < first + 3:
            assert time.monotonic() < deadline_s, (first, served.settings.number, kept)
            pause.wait(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    codes = []
    for _ in range(10):
        for end in [fork(see_three_more) for _ in range(5)]:
            codes += end()
    over.set()
    writer.join()
    return lambda: codes


WAYS: dict[str, Callable[[], Ending]] = {
    "fork": lambda: by_multiprocessing("fork"),
    "forkserver": lambda: by_multiprocessing("forkserver"),
    "spawn": lambda: by_multiprocessing("spawn"),
    "nested": nested,
    "thread": in_a_thread,
    "subprocess": by_subprocess,
    "exit": exiting_the_long_way,
    "locks": with_locks_held,
    "storm": fifty_under_a_stream_of_changes,
}


def main(way: str) -> None:
    print("ready", flush=True)
    sys.stdin.readline()  # the word to fork
    process = psutil.Process()
    before = process.num_fds()
    end = WAYS[way]()
    print("forked", flush=True)
    sys.stdin.read()
    codes = end()
    threads = sorted(thread.name for thread in threading.enumerate())
    print(json.dumps({"codes": codes, "opened": process.num_fds() - before, "threads": threads}))


if __name__ == "__main__":
    main(sys.argv[1])
