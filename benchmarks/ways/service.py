"""A service that reads its ConfigMap when it starts, and is restarted for every change. Run by its path.

Says over a datagram socket when it had its settings, and, with a value of -1, when it was told to end.
"""

import socket
import struct
import sys
import threading
from time import monotonic_ns

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """What ``benchmarks.declared.PlainSettings`` is; repeated, so that nothing of the suite is imported here."""

    threshold: float = 0.75
    model: str = "gpt-4"
    rate_limit: int = 1000
    log_level: str = "INFO"
    dark_mode: bool = False


def main(mount: str, address: str) -> None:
    """Run until interrupted."""
    settings = Settings(_secrets_dir=mount)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.connect(address)
    told.send(struct.pack("<qd", monotonic_ns(), settings.threshold))
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        told.send(struct.pack("<qd", monotonic_ns(), -1.0))


if __name__ == "__main__":
    main(*sys.argv[1:])
