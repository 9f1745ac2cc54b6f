"""Whether somebody on the way between here and a server could read along, or answer in its place. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from hotconfig.core.finding import Finding, ok


def judge_encryption(
    check: str, hosts: Sequence[str], *, encrypted: bool, verified: bool, exposed: str, way_out: str
) -> Finding:
    """What a connection to ``hosts`` (names, addresses, or paths of sockets) is worth.

    Args:
        check: What the finding is called.
        hosts: Every server that may be reached, and the one that was.
        encrypted: Whether the connection is TLS.
        verified: Whether certificate and name have to fit, or else it would not stand.
        exposed: What else travels there.
        way_out: How the URL has to be written.
    """
    if encrypted and verified:
        return ok(check, "TLS, certificate and name are verified")
    if all(map(_is_local, hosts)):
        return ok(check, "TLS" if encrypted else "none, and none is needed: the server is on this machine")
    if encrypted:
        return Finding(check, "warning", "TLS, but nobody verifies who answers", way_out)
    return Finding(
        check, "warning", f"none: passwords and {exposed} can be read on the way, and answers forged", way_out
    )


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
