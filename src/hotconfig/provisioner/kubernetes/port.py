"""What the provisioner needs from Kubernetes, as a contract. One suite holds for every implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Impersonation:
    """As whom a dry run is made: the tenant that the isolation probes speak for."""

    user: str
    groups: tuple[str, ...] = ()


class KubernetesPort(Protocol):
    """The API server, as one identity. Deletes are made through another instance with an identity of its own.

    Kinds are those of :data:`hotconfig.provisioner.template.API_VERSIONS`, and ``Pod`` and ``Secret`` for probes.
    ``namespace`` is None for a Namespace. Objects are plain dictionaries, as the server sent them.

    1. Every call ends within the implementation's stated time, connecting included; nothing waits for ever. A call that
       is cancelled has happened or not: ask before doing it again, or do what can be done twice.
    2. A call is one request. Nothing is retried inside: the caller knows what may be sent twice, and has a lease.
    3. Answers 2xx return the object. Every other answer, and none, raises one of ``provisioner.errors``, by status and
       ``reason``, never by the text:

       ========================================= ===========================================
       no answer, 5xx                             ``KubernetesUnavailableError``
       429                                        ``KubernetesThrottledError`` with Retry-After
       untrusted certificate                      ``KubernetesTrustError``
       401, 403                                   ``KubernetesDeniedError`` with verb and resource
       403 with cause NamespaceTerminating        ``NamespaceTerminatingError``
       404                                        ``KubernetesNotFoundError``
       409 AlreadyExists                          ``KubernetesExistsError``
       409 Conflict, 422 on ``metadata.uid``      ``KubernetesConflictError``
       400, 422; 500 to an apply with code 500    ``KubernetesRefusedError`` with the server's words
       and no reason (a field or quantity it
       could not read)
       ========================================= ===========================================

    4. ``apply`` is server-side apply with field manager ``hotconfig-provisioner`` and force. ``metadata.uid`` in the
       manifest is a fence. Applying what is there already changes nothing.
    5. ``create`` uses field manager ``hotconfig-claim`` and never changes what exists. The answer to a namespace of the
       same name is ``KubernetesExistsError``, also if it is being deleted.
    6. ``list`` returns all pages, from one snapshot where the server still has it, else it raises. It never returns
       less than there was without an error; an empty answer means that there is none.
    7. ``delete`` always carries the UID as a precondition.
    8. No message, log line or ``repr`` holds a token, a key, or the content of a Secret.
    9. Arguments are not changed.
    10. HTTP/1.1 alone. Any task may call, any number at once, on asyncio and trio; ``open`` makes connections ahead.
    """

    async def open(self) -> None:
        """Connect ahead, so that the first request does not pay for it. Calling it is not necessary."""
        ...

    async def create(
        self,
        manifest: Manifest,
        *,
        dry_run: bool = False,
        impersonate: Impersonation | None = None,
    ) -> Manifest:
        """POST. With ``dry_run`` the server does everything but keep it."""
        ...

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Server-side apply; see obligation 4."""
        ...

    async def get(
        self, kind: str, name: str, *, namespace: str | None, impersonate: Impersonation | None = None
    ) -> Manifest:
        """GET one object."""
        ...

    async def list(
        self,
        kind: str,
        *,
        namespace: str | None = None,
        selector: str | None = None,
        impersonate: Impersonation | None = None,
    ) -> tuple[Manifest, ...]:
        """LIST, in one namespace or in all. Items carry ``kind`` and ``apiVersion``, which the server leaves out."""
        ...

    async def replace_status(self, manifest: Manifest) -> Manifest:
        """PUT on the subresource ``status``; ``metadata.resourceVersion`` must be the live one, else it conflicts."""
        ...

    async def delete(self, kind: str, name: str, *, namespace: str | None, uid: str) -> None:
        """DELETE with the UID as precondition. Returns when the server took it on; a namespace lives on a while."""
        ...

    async def can_i(
        self, verb: str, resource: str, *, group: str = "", namespace: str | None = None, name: str = ""
    ) -> bool:
        """Whether this identity may (SelfSubjectAccessReview); ``resource`` as in RBAC: ``resourcequotas/status``."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class TellingPort(KubernetesPort, Protocol):
    """A port that can tell when a request has left, so that others need not be made ready before.

    A port need not: without ``tells_sent`` all requests of a step are made at once.
    """

    tells_sent: bool
    """True."""

    async def apply(
        self, manifest: Manifest, *, dry_run: bool = False, on_sent: Callable[[], None] | None = None
    ) -> Manifest:
        """``on_sent`` is called when the request has left, in the event loop."""
        ...
