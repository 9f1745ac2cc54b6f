"""A process that follows, with an SDK of its own, and tells about the first change that it saw."""

from __future__ import annotations

import json
import sys
import threading
import time

import hotconfig
from tests.integration.settings import AISettings
from tests.support.telemetry import Sdk

DEADLINE_S = 60.0


def main() -> None:
    sdk = Sdk()
    sdk.install()
    with hotconfig.HotConfig.from_env() as hc:
        hc.bind(AISettings)
        print("bound", flush=True)
        deadline_s = time.monotonic() + DEADLINE_S
        while not sdk.spans("hotconfig apply"):
            if time.monotonic() > deadline_s:
                sys.exit("no span in time")
            threading.Event().wait(0.01)
        (span,) = sdk.spans("hotconfig apply")
        histogram = sdk.histogram()
        told = {
            "trace_id": span.context.trace_id,
            "parent_id": span.parent.span_id if span.parent is not None else None,
            "durations": histogram.count if histogram is not None else 0,
            "revision": sdk.numbers()["hotconfig.revision/ai"],
        }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
