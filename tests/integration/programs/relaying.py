"""Processes around the relay: one that leads, a writer that dies before it announces, one that forks."""

from __future__ import annotations

import os
import sys
import threading
import time

from pydantic import BaseModel

import hotconfig
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.runtime.relay import Told
from hotconfig.runtime.wiring import Environment, Wiring


@hotconfig.settings(service="ai")
class AISettings(BaseModel):
    threshold: float = 0.75


def lead() -> None:
    """Run a relay and say what happens to it, but for waiting."""
    found = Environment()
    assert found.database_url is not None

    def tell(told: Told) -> None:
        if told.event in ("leading", "lost"):
            print(told.event, flush=True)

    relay = Wiring(found.database_url, found.redis_url, found.schema_name, subscribe_all=False, listen=False).relay(
        tell
    )
    relay.start()
    threading.Event().wait()


def die() -> None:
    """Commit, and be gone before it is announced."""
    RedisAnnouncer.announce = lambda *_: os._exit(9)  # type: ignore[method-assign]
    with hotconfig.HotConfig.from_env() as client:
        client.store.set(client.bind(AISettings), threshold=0.25, by="a writer that dies")


def until(client: hotconfig.HotConfig, role: str) -> str:
    deadline_s = time.monotonic() + 20
    pause = threading.Event()
    while client.status().relay != role and time.monotonic() < deadline_s:
        pause.wait(0.01)
    return client.status().relay


def fork() -> None:
    """Fork while leading: the child waits until the parent gives up the role."""
    found = Environment()
    assert found.database_url is not None
    client = hotconfig.HotConfig(found.database_url, found.redis_url, relay=True)
    client.start()
    print("parent", until(client, "leading"), flush=True)
    parents_turn, parents_end = os.pipe()
    childs_turn, childs_end = os.pipe()
    if os.fork() == 0:
        os.close(parents_end)
        assert client._relay is not None
        client._relay.first_attempt(20)
        print("child", client.status().relay, flush=True)
        os.write(childs_end, b"x")
        os.read(parents_turn, 1)
        print("child", until(client, "leading"), flush=True)
        client.close()
        os._exit(0)
    os.read(childs_turn, 1)
    print("parent", client.status().relay, flush=True)
    client.close()
    os.close(parents_end)
    os.wait()


if __name__ == "__main__":
    {"lead": lead, "die": die, "fork": fork}[sys.argv[1]]()
