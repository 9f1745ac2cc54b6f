"""Real servers for the demo and for tests, never for production: PostgreSQL 18 and Valkey 9 from wheels.

Both listen on random ports of 127.0.0.1, ask for a random password, keep everything in one temporary
directory each, and are gone with the process that started them, however it ends. Importing this package, or
starting a server, raises ``EmbeddedServerError`` where there is none for the platform.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from hotconfig.core.errors import EmbeddedServerError
from hotconfig.embedded.unavailable import NO_EMBEDDED_SERVER

try:
    from hotconfig.embedded.postgres import EmbeddedPostgres
    from hotconfig.embedded.valkey import EmbeddedValkey
except ImportError as _error:  # psutil comes with the wheels; fcntl and pwd are not on Windows
    raise EmbeddedServerError(NO_EMBEDDED_SERVER.format(server="PostgreSQL or Valkey")) from _error

__all__ = ["EmbeddedPostgres", "EmbeddedValkey", "Servers", "servers"]


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers, running."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    @property
    def database_url(self) -> str:
        """``postgresql://hotconfig:password@127.0.0.1:port/hotconfig``: an empty database of a superuser."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """``redis://:password@127.0.0.1:port/0``."""
        return self.valkey.url


@contextmanager
def servers(on_progress: Callable[[str], None] | None = None) -> Generator[Servers]:
    """Start both servers side by side, and end them with the block.

    ``on_progress`` hears a short line about each step.

    Raises:
        EmbeddedServerError: there is no embedded server for this platform, or one does not start.
    """
    report = on_progress or _unheard
    running = Servers(EmbeddedPostgres(), EmbeddedValkey())
    with ExitStack() as stack:
        begun = time.monotonic()
        for server in (running.postgres, running.valkey):
            stack.callback(server.stop)
            with _uninterrupted():
                server.launch()
            report(f"preparing {server.label} …")
        for server in (running.valkey, running.postgres):
            server.wait_ready()
            report(f"{server.label} ready on port {server.port} after {time.monotonic() - begun:.1f} s")
        yield running


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Put Ctrl-C off until the block is over: in its midst it would leave a directory that nobody removes yet."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _unheard(_line: str) -> None:
    """Nobody asked for progress."""
