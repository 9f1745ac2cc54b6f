"""The errors with which the database refuses something about a tenant.

:mod:`hotconfig.provisioner.errors` draws the whole tree; these stand here for the adapter that raises them.
"""

from __future__ import annotations

from hotconfig.core.errors import RetryableError, UsageError


class TenantRequestError(UsageError):
    """A request about a tenant that cannot be carried out as it stands: mend the request."""


class NameTakenError(TenantRequestError):
    """Another organization has this name."""


class NameQuarantinedError(TenantRequestError):
    """The name belonged to a tenant that was deleted not long ago."""


class IdempotencyKeyError(TenantRequestError):
    """The idempotency key belongs to another request. Take a new key for a new request."""


class UnknownOrganizationError(TenantRequestError):
    """There is no such organization."""


class WrongStateError(TenantRequestError):
    """The organization is in a state in which this is not possible."""


class DeletionProtectedError(TenantRequestError):
    """The organization is protected from deletion. Lift the protection first."""


class LeaseLostError(RetryableError):
    """The lease ran out, or somebody asked for something else meanwhile: stop working on it and read it again."""
