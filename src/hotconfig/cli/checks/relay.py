"""Whether somebody relays: announces in Redis what its writer did not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hotconfig.core.errors import HotConfigError
from hotconfig.core.finding import Finding, ok
from hotconfig.postgres.relayed import find_leader

CHECK: Final = "relay"


def check_relay(url: str, schema: str) -> Iterator[Finding]:
    """Look for the session that holds the role."""
    try:
        leader = find_leader(url, schema)
    except HotConfigError as error:
        yield Finding(CHECK, "note", "cannot be looked for", str(error))
        return
    if leader is not None and leader.is_relay:
        yield ok(CHECK, f"{leader} leads")
    elif leader is not None:
        yield Finding(
            CHECK,
            "warning",
            f"{leader} holds the lock of the role, and does not look like a relay",
            "while it does, no relay can lead. Every login of the database can take this lock. If it is none of yours, "
            f"end it with pg_terminate_backend({leader.pid}), and REVOKE CONNECT ON DATABASE … FROM PUBLIC. If it is, "
            "its role needs grant_reader, and its URL should name no other application_name",
        )
    else:
        yield Finding(
            CHECK,
            "note",
            "nobody relays",
            "a commit that is not announced, as by psql, reaches programs with Redis when they next compare with "
            "PostgreSQL. To have it seen at once run `hotconfig relay`, or a program with HOTCONFIG_RELAY=true",
        )
