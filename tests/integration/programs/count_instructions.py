"""Run below callgrind: dump the instructions of many attribute reads, once for each of three arms.

Counting is switched on when everything is imported, so that the imports run at a tenth of the price.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from typing import Any

from benchmarks.declared import PlainSettings
from benchmarks.figures.read_figure import live_settings

LOOPS = 20_000
WARM_UP = 2000  # until the interpreter has specialized what it specializes


def control(*order: str) -> None:
    """Valgrind carries an order out while this process runs, so it must not wait in one system call."""
    with subprocess.Popen(["callgrind_control", *order, str(os.getpid())], stdout=subprocess.DEVNULL) as ordered:
        while ordered.poll() is None:
            time.sleep(0.005)
    assert ordered.returncode == 0, f"callgrind_control {order} failed"


def nothing(_: Any, loops: int) -> None:
    for _ in itertools.repeat(None, loops):
        pass


def plain(settings: Any, loops: int) -> None:
    for _ in itertools.repeat(None, loops):
        _ = settings.threshold


def main() -> None:
    line, live = live_settings()
    # Each arm gets a code object of its own, as two places in a program have.
    arms = {"nothing": (nothing, None), "plain": (plain, PlainSettings()), "live": (copied(plain), live)}
    control("-i", "on")
    for name, (loop, settings) in arms.items():
        loop(settings, WARM_UP)
        control("-z")
        loop(settings, LOOPS)
        control("-d", name)
    assert line.followed
    sys.stdout.write("done\n")


def copied(function: Any) -> Any:
    return type(function)(function.__code__.replace(co_name="live"), function.__globals__)


main()
