"""Whether the connection to PostgreSQL can be read on the way; for those who look around."""

from __future__ import annotations

from hotconfig.core.encryption import judge_encryption
from hotconfig.core.finding import Finding
from hotconfig.postgres.address import parse
from hotconfig.postgres.connect import Session


def check_encryption(session: Session, url: str) -> Finding:
    """Of this connection, and of whichever other server the URL leads to next time."""
    info, parts = session.info, parse(url)
    return judge_encryption(
        "PostgreSQL encryption",
        [info.hostaddr or info.host, *str(parts.get("hostaddr") or parts.get("host") or "").split(",")],
        encrypted=session.pgconn.ssl_in_use,
        verified=info.get_parameters().get("sslmode") == "verify-full",
        exposed="values and signing keys",
        way_out="end HOTCONFIG_DATABASE_URL with ?sslmode=verify-full&sslrootcert=system, or your authority's file",
    )
