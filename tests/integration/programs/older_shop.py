"""A program of an earlier version: follows ``shop`` and writes it when told to, one order a line.

Uses nothing that the first version did not have.
"""

from __future__ import annotations

import os
import sys

from pydantic import BaseModel

import hotconfig


@hotconfig.settings(service="shop")
class Shop(BaseModel):
    size: int = 1
    title: str = ""


def say(*words: object) -> None:
    """One line, in one piece: listeners speak on a thread of their own."""
    print(" ".join(map(str, words)) + "\n", end="", flush=True)


def main() -> None:
    url, redis_url = os.environ["HOTCONFIG_DATABASE_URL"], os.environ["HOTCONFIG_REDIS_URL"]
    with hotconfig.HotConfig(url, redis_url) as client:
        shop = client.bind(Shop)
        client.on_change(shop, lambda change: say("shown", change.revision, change.new.size))
        say("bound", shop.size)
        for line in sys.stdin:
            if line.startswith("set"):
                commit = client.store.set(shop, size=int(line.split()[1]), by="older")
                client.wait_for(commit)
                say("wrote", commit.revision, shop.size)
            else:
                standing = client.status().services["shop"]
                say("status", standing.shown_revision, standing.digest, dict(standing.problems))


if __name__ == "__main__":
    main()
