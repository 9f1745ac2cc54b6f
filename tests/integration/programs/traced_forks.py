"""A process with an SDK that forks after the start: parent and child each tell what they count."""

from __future__ import annotations

import json
import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import hotconfig
from tests.integration.settings import AISettings
from tests.support.telemetry import Sdk
from tests.support.waiting import eventually

DEADLINE_S = 60.0


def child(sdk: Sdk, hc: hotconfig.HotConfig, settings: Any, pipe: Connection) -> None:
    """Begin with nothing counted; see one change; tell."""
    hc.bind(AISettings)  # comes back when PostgreSQL was read here, too
    eventually(lambda: sdk.numbers().get("hotconfig.revision/ai") == 2, DEADLINE_S)
    pipe.send({"at first": sdk.numbers(), "spans": len(sdk.spans("hotconfig apply"))})
    eventually(lambda: settings.threshold == 0.5, DEADLINE_S)
    eventually(lambda: len(sdk.spans("hotconfig apply")) == 3, DEADLINE_S)
    pipe.send(sdk.numbers())


def main() -> None:
    sdk = Sdk()
    sdk.install()
    with hotconfig.HotConfig.from_env() as hc:
        settings = hc.bind(AISettings)
        for threshold in (0.1, 0.2):
            hc.wait_for(hc.store.set(settings, threshold=threshold, by="parent"))
        eventually(lambda: len(sdk.spans("hotconfig apply")) == 2, DEADLINE_S)
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=child, args=[sdk, hc, settings, theirs])
        process.start()
        assert ours.poll(DEADLINE_S)
        born = ours.recv()
        hc.wait_for(hc.store.set(settings, threshold=0.5, by="parent"))
        assert ours.poll(DEADLINE_S)
        grown = ours.recv()
        process.join(DEADLINE_S)
        parent = sdk.numbers()
    print(json.dumps({"born": born, "grown": grown, "parent": parent, "exit": process.exitcode}), flush=True)


if __name__ == "__main__":
    main()
