"""What is installed here: hotconfig, psycopg with its libpq, redis-py with its parser."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from hotconfig.core.finding import Finding, ok

OLDEST_LIBPQ: Final = 100_000


def check_installation() -> Iterator[Finding]:
    """Look at the libraries that do the talking."""
    yield ok("hotconfig", f"{installed('hotconfig')} on Python {platform.python_version()}")
    yield _check_libpq()
    if find_spec("hiredis") is not None:
        yield ok("redis-py", f"{installed('redis')} with hiredis {installed('hiredis')}")
    else:
        yield Finding(
            "redis-py",
            "note",
            f"{installed('redis')} with its parser in Python",
            "for many messages a second: pip install 'hotconfig[hiredis]'",
        )


def installed(name: str) -> str:
    """The version of a distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed, run from source)"


def _check_libpq() -> Finding:
    try:
        from psycopg import pq  # noqa: PLC0415 - whether it can be imported is what is asked
    except ImportError:
        return Finding(
            "libpq",
            "problem",
            f"psycopg {installed('psycopg')} finds no libpq",
            "pip install 'hotconfig[binary]', or install libpq 10 or newer with your system's packages",
        )
    number = pq.version()
    found = f"psycopg {installed('psycopg')} ({pq.__impl__}) with libpq {number // 10000}.{number % 10000}"
    if number < OLDEST_LIBPQ:
        return Finding("libpq", "problem", found, "libpq 10 or newer is needed: pip install 'hotconfig[binary]'")
    if pq.__impl__ == "python":
        return Finding("libpq", "note", found, "the compiled one is faster: pip install 'hotconfig[binary]'")
    return ok("libpq", found)
