"""The reading process of each way that is written by hand. All have the same settings, and stamp after they are set.

Each runs in a process that :func:`benchmarks.processes.subscriber` starts. Settings that a single value goes into are
made by pydantic-settings, and written to by ``settings.threshold = …``, which is the least that such a service can do.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from benchmarks.declared import PlainSettings
from benchmarks.processes import Stamps

CHANNEL: Final = "config:bench-ways:threshold"
NOTIFICATIONS: Final = "bench_ways"
ETCD_KEY: Final = b"/config/bench-ways/threshold"


def published(stamps: Stamps, redis_url: str) -> None:
    """Redis: ``listen()`` of redis-py; the message is the value."""
    import redis

    settings = PlainSettings()
    client: Any = redis.Redis.from_url(redis_url, socket_timeout=None)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(CHANNEL)
    stamps.ready()
    for message in pubsub.listen():
        if message is not None:
            settings.threshold = float(message["data"])
            stamps.stamp(settings.threshold)


def notified(stamps: Stamps, database_url: str) -> None:
    """LISTEN/NOTIFY: ``notifies()`` of psycopg; the payload is the value, so that nobody has to ask for it."""
    import psycopg

    settings = PlainSettings()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"LISTEN {NOTIFICATIONS}")
        stamps.ready()
        for notification in connection.notifies():
            settings.threshold = float(notification.payload)
            stamps.stamp(settings.threshold)


def polled(stamps: Stamps, database_url: str, select: str, interval_s: float) -> None:
    """Polling: the same statement again and again over one connection, prepared by psycopg after five times."""
    import psycopg

    settings = PlainSettings()
    with psycopg.connect(database_url, autocommit=True) as connection:
        stamps.ready()
        while True:
            found = connection.execute(select).fetchone()
            if found is not None and float(found[0]) != settings.threshold:
                settings.threshold = float(found[0])
                stamps.stamp(settings.threshold)
            time.sleep(interval_s)


def mounted(stamps: Stamps, mount: str, step_ms: int, debounce_ms: int) -> None:
    """A mounted ConfigMap: ``watch()`` of watchfiles, and pydantic-settings built anew from the directory."""
    from watchfiles import watch

    settings = PlainSettings(_secrets_dir=mount)  # pydantic-settings' word for "one file per field"
    stamps.ready()
    for _ in watch(mount, step=step_ms, debounce=debounce_ms):
        settings = PlainSettings(_secrets_dir=mount)
        stamps.stamp(settings.threshold)


def watched(stamps: Stamps, port: int) -> None:
    """An etcd watch: aetcd, on an event loop of its own."""
    asyncio.run(_watched(stamps, port))


async def _watched(stamps: Stamps, port: int) -> None:
    import aetcd

    settings = PlainSettings()
    async with aetcd.Client("127.0.0.1", port) as client:
        watch = await client.watch(ETCD_KEY)
        stamps.ready()
        async for event in watch:
            settings.threshold = float(event.kv.value)
            stamps.stamp(settings.threshold)
