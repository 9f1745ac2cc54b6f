"""Every error that the provisioner raises on purpose, by what the caller can do about it::

    HotConfigError
    ├── RetryableError                      try again later, with the same idempotency key
    │   ├── DatabaseUnavailableError        as everywhere in hotconfig
    │   ├── KubernetesUnavailableError      the API server cannot be reached, did not answer, or answered 5xx
    │   │   └── KubernetesThrottledError    429; ``retry_after_s`` says when
    │   ├── KubernetesConflictError         409: somebody else changed the object first; read it again
    │   ├── NamespaceTerminatingError       the namespace is still being deleted
    │   └── LeaseLostError                  another worker goes on
    ├── ConfigurationError                  mend the cluster, a permission or the template
    │   ├── AccessDeniedError               (of the database)
    │   ├── KubernetesDeniedError           401, 403: which verb on which resource, and the manifest that grants it
    │   ├── KubernetesRefusedError          400, 422, or a policy's refusal, with the server's words
    │   ├── KubernetesTrustError            the server's certificate is not trusted
    │   ├── NamespaceConflictError          the namespace belongs to somebody else
    │   ├── IsolationBreachedError          a probe was allowed that must be denied
    │   └── TemplateError                   the template makes objects that cannot be
    └── UsageError                          mend the request
        ├── KubernetesNotFoundError         404: there is no such object (the port's answer, not the caller's)
        ├── KubernetesExistsError           409 AlreadyExists on a create (likewise)
        ├── InvalidNameError                the name breaks the rules or is reserved (also a ``ValueError``)
        ├── InvalidQuantityError            it is no quantity, or an absurd one (also a ``ValueError``)
        ├── InvalidRequestError             who asks, why, the key, seconds or a limit (also a ``ValueError``)
        └── TenantRequestError
            ├── NameTakenError, NameQuarantinedError
            ├── IdempotencyKeyError         the key belongs to another request
            ├── UnknownOrganizationError
            ├── WrongStateError
            └── DeletionProtectedError

Messages name organizations, objects and the server's reason; never a token, a password or a value of a Secret.
"""

from __future__ import annotations

from hotconfig.core.errors import (
    AccessDeniedError,
    ConfigurationError,
    DatabaseUnavailableError,
    HotConfigError,
    RetryableError,
    UsageError,
)
from hotconfig.core.tenants.refusals import (
    DeletionProtectedError,
    IdempotencyKeyError,
    LeaseLostError,
    NameQuarantinedError,
    NameTakenError,
    TenantRequestError,
    UnknownOrganizationError,
    WrongStateError,
)


class KubernetesUnavailableError(RetryableError):
    """The API server cannot be reached, did not answer in time, or answered that it is not well (5xx)."""


class KubernetesThrottledError(KubernetesUnavailableError):
    """The API server asks to come back later (429). ``retry_after_s`` is what it says, or None."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KubernetesConflictError(RetryableError):
    """Somebody else changed the object first, or a precondition (UID, resourceVersion) no longer holds (409)."""


class NamespaceTerminatingError(RetryableError):
    """The namespace is being deleted: nothing can be made in it, and its name is not free yet."""


class KubernetesDeniedError(ConfigurationError):
    """The API server does not let this identity do it (401, 403).

    ``verb`` and ``resource`` say what, as RBAC names it; ``hotconfig-provisioner manifests`` prints what grants it.
    """

    def __init__(self, message: str, *, verb: str = "", resource: str = "") -> None:
        super().__init__(message)
        self.verb = verb
        self.resource = resource


class KubernetesRefusedError(ConfigurationError):
    """The API server refuses the object as it stands (400, 422, or 500 for what it could not read)."""


class KubernetesTrustError(ConfigurationError):
    """The API server's certificate is not trusted, or the kubeconfig cannot be used."""


class KubernetesNotFoundError(UsageError):
    """There is no such object (404)."""


class KubernetesExistsError(UsageError):
    """An object of this name exists already (409, reason AlreadyExists)."""


class NamespaceConflictError(ConfigurationError):
    """The namespace of this name is not ours. Nothing was written to it; adopting it is an explicit request."""


class IsolationBreachedError(ConfigurationError):
    """The tenant could do what must be denied. The organization is not let in."""


class TemplateError(ConfigurationError):
    """The template makes objects that cannot be: a wrong kind, a foreign namespace, a name of ours."""


class InvalidNameError(UsageError, ValueError):
    """The name cannot name a tenant or a role."""


class InvalidQuantityError(UsageError, ValueError):
    """The text is no quantity, or one that no quota may have."""


class InvalidRequestError(UsageError, ValueError):
    """Who asks, why, the idempotency key, a number of seconds or a limit cannot be. Nothing was stored."""


__all__ = [
    "AccessDeniedError",
    "ConfigurationError",
    "DatabaseUnavailableError",
    "DeletionProtectedError",
    "HotConfigError",
    "IdempotencyKeyError",
    "InvalidNameError",
    "InvalidQuantityError",
    "InvalidRequestError",
    "IsolationBreachedError",
    "KubernetesConflictError",
    "KubernetesDeniedError",
    "KubernetesExistsError",
    "KubernetesNotFoundError",
    "KubernetesRefusedError",
    "KubernetesThrottledError",
    "KubernetesTrustError",
    "KubernetesUnavailableError",
    "LeaseLostError",
    "NameQuarantinedError",
    "NameTakenError",
    "NamespaceConflictError",
    "NamespaceTerminatingError",
    "RetryableError",
    "TemplateError",
    "TenantRequestError",
    "UnknownOrganizationError",
    "UsageError",
    "WrongStateError",
]
