"""A certificate authority of the double's own, and a certificate for 127.0.0.1 and localhost from it.

Made with trustme, once per process; it is loaded only here.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache

NO_TRUSTME = (
    "the Kubernetes double serves HTTPS with a certificate that trustme makes: pip install trustme, "
    "or take KubernetesDouble(tls=False)"
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the server needs, and what its clients have to trust."""

    context: ssl.SSLContext
    authority_pem: bytes


@cache
def certificates() -> Certificates:
    """Raises ImportError, with what to do, where trustme is missing."""
    try:
        import trustme  # noqa: PLC0415 - only for who wants HTTPS
    except ImportError as error:
        raise ImportError(NO_TRUSTME) from error
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - it may be of OpenSSL too
    return Certificates(context, authority.cert_pem.bytes())
