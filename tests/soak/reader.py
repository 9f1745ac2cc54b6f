"""The process that is soaked: an ordinary program that follows one service and counts what it is told.

Answers each revision that it is given on a line of its own with what it looks like from within when it shows it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import sys
import threading

import hotconfig
from hotconfig import Timing
from tests.integration.settings import AISettings

RECONCILE_S = 1.0


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc's malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        *("arena", "ordblks", "smblks", "hblks", "hblkhd"), *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
    )]  # fmt: skip


def malloc_in_use() -> int | None:
    """Bytes that were asked for and not given back, in all arenas; None where the C library does not tell."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return None
    ask.restype = _Mallinfo
    found = ask()
    return int(found.uordblks) + int(found.hblkhd)


def main() -> None:
    logging.disable(logging.INFO)
    told = 0

    def count(change: hotconfig.Changed[AISettings]) -> None:
        nonlocal told
        told += 1

    with hotconfig.HotConfig(sys.argv[1], sys.argv[2], timing=Timing(reconcile_s=RECONCILE_S)) as client:
        ai = client.bind(AISettings)
        client.on_change(ai, count)
        for line in sys.stdin:
            client.wait_for(int(line), 120)
            gc.collect()
            blocks = sys.getallocatedblocks()
            document = {"told": told, "model": ai.model, "threads": threading.active_count(), "blocks": blocks}
            document["malloc"] = malloc_in_use()
            print(json.dumps(document | dict(client.status().counters)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
