"""TCP ports for servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from typing import Final

HOST: Final = "127.0.0.1"
_PORTS: Final = range(10_000, 15_000)
"""Below those that the system gives to clients, and those of embedded servers."""
_handed_out: Final[set[int]] = set()


def free_port() -> int:
    """A port that nobody listens on, that no client is given, and that was not handed out here before."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as tried, suppress(OSError):
            tried.bind((HOST, port))
            if port not in _handed_out:
                _handed_out.add(port)
                return port
