"""Everything that a Redis server is told, by ``MONITOR``."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

import redis

_END = "ECHO the-end"


class Tap:
    """What was heard so far; :meth:`text` waits until everything said before it has come."""

    def __init__(self, redis_url: str) -> None:
        self.heard: list[str] = []
        self._url = redis_url
        self._client = redis.Redis.from_url(redis_url)
        self._monitor = self._client.monitor()  # type: ignore[no-untyped-call]
        self._monitor.__enter__()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def text(self) -> str:
        """All commands, one a line. Listens no longer."""
        with redis.Redis.from_url(self._url) as client:
            client.echo("the-end")
        self._thread.join(10)
        return "\n".join(self.heard)

    def close(self) -> None:
        self._monitor.__exit__(None, None, None)
        self._client.close()

    def _run(self) -> None:
        for command in self._monitor.listen():
            self.heard.append(str(command["command"]))
            if command["command"] == _END:
                return


@contextmanager
def tapped(redis_url: str) -> Generator[Tap]:
    """A tap for the length of a block."""
    tap = Tap(redis_url)
    try:
        yield tap
    finally:
        tap.close()
