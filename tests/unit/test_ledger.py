"""The ledger: what the line writes, others may read at any time."""

from __future__ import annotations

import sys
import threading

from hotconfig.core.outcomes import Rejected, Stage
from hotconfig.runtime.ledger import Ledger


def test_counters_may_be_read_while_the_line_counts() -> None:
    ledger, ended, errors = Ledger(), threading.Event(), list[Exception]()

    def read() -> None:
        while not ended.is_set():
            try:
                ledger.counted()
            except RuntimeError as error:
                errors.append(error)

    reader = threading.Thread(target=read)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        reader.start()
        for number in range(30_000):  # as many stages as it takes to be met in the middle
            ledger.counters.rejected[str(number % 1000)] = number
            if number % 1000 == 999:
                ledger.counters.rejected.clear()
    finally:
        ended.set()
        reader.join(10)
        sys.setswitchinterval(before)
    assert errors == []


def test_what_was_counted_is_a_copy() -> None:
    ledger = Ledger()
    counted = ledger.counted()
    ledger.counters.count(Rejected("ai", 1, Stage.VALIDATE, {}))
    assert counted["rejected"] == {}
    assert ledger.counted()["rejected"] == {"validate": 1}
