"""What an API server says when it does not do what was asked, in our errors. Pure: knows no client.

Decides by status, ``reason`` and causes, never by the text, which is only passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from hotconfig.core.errors import HotConfigError
from hotconfig.provisioner.errors import (
    KubernetesConflictError,
    KubernetesDeniedError,
    KubernetesExistsError,
    KubernetesNotFoundError,
    KubernetesRefusedError,
    KubernetesThrottledError,
    KubernetesUnavailableError,
    NamespaceTerminatingError,
)

IMPERSONATE: Final = "impersonate"
"""The verb of the ``KubernetesDeniedError`` where it was the impersonation that is not granted."""
_IMPERSONATED: Final = frozenset({"users", "groups", "serviceaccounts", "userextras"})
MAX_SAID: Final = 500
"""How much of the server's words is passed on: a refused binding lists every rule of a role."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, as RBAC names it."""

    verb: str
    resource: str
    name: str = ""
    namespace: str | None = None
    applies: bool = False
    """Whether it was a server-side apply, of which what cannot be read is answered with 500."""
    impersonates: bool = False

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}{where}"


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that is not 2xx. ``body`` is the ``Status``, or empty where it was none."""

    code: int
    body: Mapping[str, Any]
    retry_after: str | None = None

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def details(self) -> Mapping[str, Any]:
        return _mapping(self.body.get("details"))

    @property
    def causes(self) -> tuple[Mapping[str, Any], ...]:
        found = self.details.get("causes")
        return tuple(_mapping(each) for each in cast("list[object]", found)) if isinstance(found, list) else ()

    @property
    def words(self) -> str:
        text = str(self.body.get("message", "")) or f"HTTP {self.code} without a Status"
        return text if len(text) <= MAX_SAID else f"{text[:MAX_SAID]}…"


def error_of(asked: Asked, said: Said) -> HotConfigError:  # noqa: PLR0911 - the table of the port, line by line
    """The error that :class:`hotconfig.provisioner.kubernetes.port.KubernetesPort` promises for this answer."""
    what = f"Kubernetes refused to {asked}: {said.words}"
    if said.code == 429:
        return KubernetesThrottledError(f"Kubernetes asks to come back later ({asked})", _seconds(said.retry_after))
    if said.code in {401, 403}:
        return _denial(asked, said, what)
    if said.code == 404:
        return KubernetesNotFoundError(what)
    if said.code == 409:
        exists = said.reason == "AlreadyExists"
        return KubernetesExistsError(what) if exists else KubernetesConflictError(f"{what}. Read it again.")
    if said.code == 422 and any(cause.get("field") == "metadata.uid" for cause in said.causes):
        return KubernetesConflictError(f"{what}. It is another object of the same name.")
    if said.code == 500 and asked.applies and not said.reason and said.body.get("code") == 500:
        return KubernetesRefusedError(f"{what}. A field or a quantity could not be read.")
    if said.code >= 500 or said.code == 410:  # 410: the list's snapshot is gone; a new one begins anew
        return KubernetesUnavailableError(f"Kubernetes is not well ({asked}): {said.words}")
    return KubernetesRefusedError(what)


def _denial(asked: Asked, said: Said, what: str) -> HotConfigError:
    if any(cause.get("reason") == "NamespaceTerminating" for cause in said.causes):
        return NamespaceTerminatingError(f"{what}. Wait until it is gone.")
    if said.code == 401:
        advice = "Check the token or certificate of this identity."
        return KubernetesDeniedError(f"{what}. {advice}", verb=asked.verb, resource=asked.resource)
    if asked.impersonates and said.details.get("kind") in _IMPERSONATED:
        return KubernetesDeniedError(what, verb=IMPERSONATE, resource=str(said.details["kind"]))
    advice = (
        f"If that is a missing permission, grant the verb {asked.verb!r} on {asked.resource!r}: the ClusterRoles of "
        "`hotconfig-provisioner manifests` do; `hotconfig-provisioner doctor` says what else is missing."
    )
    if asked.resource == "rolebindings":
        advice += " Binding a role also takes the verb 'bind' on that ClusterRole: `manifests --cluster-role` names it."
    return KubernetesDeniedError(f"{what}. {advice}", verb=asked.verb, resource=asked.resource)


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; None where there is none, or a date."""
    return float(text) if text is not None and text.isascii() and text.isdecimal() else None


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
