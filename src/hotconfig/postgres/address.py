"""What a PostgreSQL URL says: which servers, and what a connection asks of them.

Must not connect. libpq's own words about a malformed URL quote it, password and all: they go no further than here.
"""

from __future__ import annotations

import re
from typing import Any, Final

import psycopg
from psycopg import conninfo

from hotconfig.core.errors import ConfigurationError

Parts = dict[str, Any]
"""libpq's keywords and what the URL says for them."""

_CREDENTIALS: Final = re.compile(r"postgres(?:ql)?://(?:[^@/]*@)?")
"""The beginning of a URL as libpq reads it: up to the first "@", unless a "/" comes first."""


def parse(url: str) -> Parts:
    """Take a URL apart.

    Raises:
        ConfigurationError: it cannot be read, or not in one way only.
    """
    if _has_stray_at(url):
        raise ConfigurationError(
            'the PostgreSQL URL has an "@" too many, so that a part of the password would be taken for the host: write '
            '"@" as %40 and "/" as %2F in user, password and database, as in postgresql://user:pass%40word@host:5432/database'
        )
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}
    ports = str(parts.get("port", "")).split(",")
    if not parts or not all(port.isdecimal() or not port for port in ports):
        raise ConfigurationError(
            "the PostgreSQL URL cannot be read: write postgresql://user:password@host:5432/database, with special "
            "characters in user and password percent-encoded"
        )
    return {keyword: said for keyword, said in parts.items() if said is not None}


def _has_stray_at(url: str) -> bool:
    """Whether an "@" stands bare behind the credentials that libpq sees, before the options."""
    begins = _CREDENTIALS.match(url)
    return begins is not None and "@" in url[begins.end() :].partition("?")[0]


def for_writing(parts: Parts) -> Parts:
    """The same servers, but of several only one that accepts writes; whatever the URL allows for reading.

    A single server is taken as it is: behind a pooler, what libpq would look at is what the pooler remembers of some
    earlier server.
    """
    several = "," in str(parts.get("host") or parts.get("hostaddr") or "")
    if not several or parts.get("target_session_attrs") == "primary":
        return parts
    return {**parts, "target_session_attrs": "read-write"}


def describe(url: str) -> str:
    """Hosts, ports and database of a URL, for messages: never user or password."""
    try:
        parts = parse(url)
    except ConfigurationError:
        return "<unreadable URL>"
    hosts = str(parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = str(parts.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports  # one for all, says libpq
    servers = (f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=False))
    return f"{','.join(servers)}/{parts.get('dbname') or ''}"
