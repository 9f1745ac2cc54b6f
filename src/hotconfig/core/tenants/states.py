"""The states of an organization, and the only moves between them.

The database enforces the same table (``tenant_may_become`` in 0002_tenants.sql); a contract test compares the two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What is wanted of an organization, or under way."""

    UNMANAGED = "unmanaged"
    """A row that the provisioner was never asked about. It leaves such rows alone."""
    REQUESTED = "requested"
    """Asked for; no worker has looked at it yet."""
    PROVISIONING = "provisioning"
    """On its way to active, again and again until it is there. Nobody is let in before the fences stand."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Stays as it is, but nothing new starts."""
    OFFBOARDING = "offboarding"
    """Isolated. Can be restored until ``purge_after``."""
    PURGING = "purging"
    """The namespace is being deleted. There is no way back."""
    DELETED = "deleted"
    """A tombstone; the name is in quarantine."""
    FAILED = "failed"
    """Given up while provisioning; ``conditions`` and the operation's error say why. Adopt it to try again."""


TRANSITIONS: Final[frozenset[tuple[State, State]]] = frozenset(
    {
        (State.UNMANAGED, State.PROVISIONING),  # adopted
        (State.REQUESTED, State.PROVISIONING),
        (State.REQUESTED, State.FAILED),
        (State.PROVISIONING, State.ACTIVE),
        (State.PROVISIONING, State.FAILED),
        (State.ACTIVE, State.SUSPENDED),
        (State.ACTIVE, State.OFFBOARDING),
        (State.SUSPENDED, State.ACTIVE),
        (State.SUSPENDED, State.OFFBOARDING),
        (State.OFFBOARDING, State.PROVISIONING),  # restored
        (State.OFFBOARDING, State.PURGING),
        (State.PURGING, State.DELETED),
        (State.FAILED, State.PROVISIONING),  # asked for again
        (State.FAILED, State.OFFBOARDING),  # so that what it left behind can be removed
        (State.DELETED, State.REQUESTED),  # the name is used anew, by another tenant with another uid
        (State.DELETED, State.PROVISIONING),
    }
)

LEASABLE: Final = frozenset(State) - {State.UNMANAGED, State.DELETED, State.FAILED}
"""The states in which there may be something to do."""


def may_become(before: State, after: State) -> bool:
    """Whether there is such a move. Staying is none."""
    return (before, after) in TRANSITIONS


class OperationKind(StrEnum):
    """What can be asked for."""

    CREATE = "create"
    QUOTA = "quota"
    SUSPEND = "suspend"
    RESUME = "resume"
    OFFBOARD = "offboard"
    RESTORE = "restore"
    PURGE = "purge"
    ADOPT = "adopt"


class OperationState(StrEnum):
    """How far an operation is. ``done`` and ``failed`` are final."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ConditionKind(StrEnum):
    """What is the matter, beside the state."""

    DRIFT = "Drift"
    """Kubernetes holds something else than what is wanted, and it could not be repaired."""
    KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
    """Kubernetes did not answer; tried again."""
    UPDATE_PENDING = "UpdatePending"
    """Applied, but not in force yet: ``status.hard`` of the quota is not ``spec.hard``."""
    NAME_BUSY = "NameBusy"
    """The namespace of that name is still being deleted."""
    PROBES_INCOMPLETE = "ProbesIncomplete"
    """Some isolation probes could not be made."""
    QUOTA_INVALID = "QuotaInvalid"
    """The quota rows in ``service_configs`` are missing or no quantities. What is in force stays in force."""
    DELETION_HELD = "DeletionHeld"
    """The brake holds the deletion back: too many in one cycle, or the database showed too little."""
    FAILED = "Failed"
    """Why the organization is in state ``failed``."""
