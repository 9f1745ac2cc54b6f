"""Under which operating-system account a server runs, and whether that account can reach the programs.

PostgreSQL refuses to run as root, so root starts it as ``nobody``. An existing account is used, none is
created, and no permission outside our own directory is changed: programs that ``nobody`` cannot reach (a
virtual environment below ``/root``) are copied into the run directory, which takes about 0.1 s.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hotconfig.core.errors import EmbeddedServerError

_CANDIDATES: Final = ("nobody", "postgres", "daemon")
"""``nobody`` first: a PostgreSQL that matters runs as ``postgres``, and ours could signal it."""

_PROGRAMS: Final = frozenset({"postgres", "initdb"})
"""All that is needed of the ``bin`` directory."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """Return the account to switch to, or ``None`` where the present one will do (anyone but root).

    Raises:
        EmbeddedServerError: root on a machine without any unprivileged account.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        f"PostgreSQL does not run as root, and there is none of the accounts {', '.join(_CANDIDATES)}: "
        "run as an ordinary user, or pass --database-url / --redis-url of servers that are there"
    )


def is_reachable(directory: Path) -> bool:
    """Tell whether every account may pass through ``directory``."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (directory, *directory.parents))


def version_line(program: Path, account: Account | None = None) -> str:
    """Return what ``program --version`` prints, run as ``account``.

    Raises:
        PermissionError: the account cannot reach or execute the program.
        EmbeddedServerError: it does not run on this machine.
    """
    user, group = (account.uid, account.gid) if account else (None, None)
    try:
        done = subprocess.run(  # noqa: S603 - a server's own program
            [program, "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
            cwd="/",
            user=user,
            group=group,
            extra_groups=[] if account else None,
        )
    except PermissionError:
        raise
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(f"{program.name} does not run on this machine: {error}") from error
    return done.stdout.strip()


def copy_installation(program: Path, libraries: Iterable[Path], target: Path) -> Path:
    """Copy the installation around ``<package>/<prefix>/bin/<program>`` below ``target``; return its ``bin``.

    ``libraries`` are directories beside ``<package>`` that the programs find by relative path. The copy
    may be read by every account.
    """
    prefix = program.parent.parent
    package = target / prefix.parent.name
    shutil.copytree(prefix, package / prefix.name, ignore=_needless, symlinks=True)
    for library in libraries:
        shutil.copytree(library, target / library.relative_to(prefix.parent.parent))
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return package / prefix.name / program.parent.name


def _needless(directory: str, names: list[str]) -> list[str]:
    if Path(directory).name == "bin":
        return [name for name in names if name not in _PROGRAMS]
    return [name for name in names if name in {"include", "pkgconfig"} or name.endswith(".a")]
