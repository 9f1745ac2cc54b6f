"""What the database knows of tenants, as immutable records.

Owns their shapes and what becomes of them in JSON. Knows no SQL, no Kubernetes, and does not judge a quantity: what
stands in a row was perhaps written by hand, and must be readable even if it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID

from hotconfig.core.tenants.states import ConditionKind, OperationKind, OperationState, State

NEVER: Final = datetime.fromtimestamp(0, UTC)
"""Of what was not read from a database: by this clock nothing is due and no retention is over."""
QUOTA_SERVICE: Final = "k8s"
QUOTA_KEYS: Final = ("quota_cpu", "quota_memory", "quota_storage")
"""The keys of an organization's quota in ``service_configs``, in the scope of the organization."""


@dataclass(frozen=True, slots=True)
class QuotaTexts:
    """A quota as it stands in ``service_configs``. None: there is no such row, or it holds NULL."""

    cpu: str | None = None
    memory: str | None = None
    storage: str | None = None

    def by_key(self) -> dict[str, str | None]:
        """The texts by the keys of their rows."""
        return dict(zip(QUOTA_KEYS, (self.cpu, self.memory, self.storage), strict=True))


@dataclass(frozen=True, slots=True)
class Condition:
    """Something worth knowing beside the state. ``message`` is for people and holds no secret."""

    kind: ConditionKind
    reason: str
    message: str
    since: datetime

    def as_json(self) -> dict[str, Any]:
        """What is stored."""
        return {
            "type": self.kind.value,
            "reason": self.reason,
            "message": self.message,
            "since": self.since.isoformat(),
        }


ProbeOutcome = Literal["denied", "allowed", "not_made"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One attempt, as the tenant and without effect, at something that must be denied.

    ``said`` is what Kubernetes answered, or why the attempt could not be made.
    """

    name: str
    outcome: ProbeOutcome
    said: str = ""


@dataclass(frozen=True, slots=True)
class IsolationReceipt:
    """What the isolation probes showed, when, and of which namespace."""

    made_at: datetime
    namespace_uid: str
    probes: tuple[Probe, ...]

    @property
    def breaches(self) -> tuple[Probe, ...]:
        """The probes that were allowed and should not have been."""
        return tuple(probe for probe in self.probes if probe.outcome == "allowed")

    @property
    def not_made(self) -> tuple[Probe, ...]:
        """The probes that could not be made, such as where impersonation is forbidden."""
        return tuple(probe for probe in self.probes if probe.outcome == "not_made")

    def as_json(self) -> dict[str, Any]:
        """What is stored."""
        return {
            "made_at": self.made_at.isoformat(),
            "namespace_uid": self.namespace_uid,
            "probes": [{"name": p.name, "outcome": p.outcome, "said": p.said} for p in self.probes],
        }


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that was asked for. The same idempotency key is the same operation.

    It is done when the organization's ``observed_generation`` has reached ``generation``.
    """

    id: UUID
    organization: str
    kind: OperationKind
    state: OperationState
    idempotency_key: str
    request: Mapping[str, Any]
    generation: int
    by: str
    reason: str | None
    created_at: datetime
    finished_at: datetime | None = None
    error: Mapping[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in {OperationState.DONE, OperationState.FAILED}


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """What is stored of a tenant that is wanted. Checked by ``provisioner.model.CreateOrganization``."""

    slug: str
    name: str
    owner_email: str
    quota: QuotaTexts
    deletion_protected: bool = False


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant, as the database has it.

    ``slug`` is the name; ``uid`` is the identity, which a name used anew does not share. ``quota`` is what the rows
    say; :meth:`hotconfig.provisioner.model.Quota.read` understands it. ``operation`` is the last one asked for.
    ``read_at`` is the database's clock when this was read: what is due is told by it, never by a worker's own.
    """

    slug: str
    uid: UUID
    name: str
    owner_email: str
    state: State
    created_at: datetime
    quota: QuotaTexts = QuotaTexts()
    namespace: str | None = None
    namespace_uid: str | None = None
    generation: int = 0
    observed_generation: int = 0
    operation: Operation | None = None
    lease_owner: str | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    isolation_receipt: IsolationReceipt | None = None
    deletion_protected: bool = False
    purge_after: datetime | None = None
    deleted_at: datetime | None = None
    quarantine_until: datetime | None = None
    read_at: datetime = field(default=NEVER, compare=False)

    @property
    def is_due(self) -> bool:
        """Whether it was time to look at it when this was read."""
        return self.next_attempt_at is not None and self.next_attempt_at <= self.read_at

    @property
    def is_left_behind(self) -> bool:
        """Whether a worker's lease had run out when this was read: it died midway, and nobody went on yet."""
        return self.lease_owner is not None and self.lease_until is not None and self.lease_until <= self.read_at

    @property
    def settled(self) -> bool:
        """Whether everything that was asked for has been carried out."""
        return self.observed_generation >= self.generation


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for, as it is kept.

    Attributes:
        body: The request as JSON.
        body_hash: By which the same key with another body is noticed; ``provisioner.model.request_hash``.
        idempotency_key: 1 to 255 characters.
        by, reason: For the histories.
    """

    body: Mapping[str, Any]
    body_hash: str
    idempotency_key: str
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on an organization for so many seconds.

    ``owner`` must be unique for each piece of work, not only for each process.
    """

    owner: str
    lease_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to a request: the operation, the organization as it is now, and whether the request was new."""

    operation: Operation
    organization: Organization
    made: bool


@dataclass(frozen=True, slots=True)
class Past:
    """One row of ``organization_history``."""

    number: int
    at: datetime
    organization: str
    uid: UUID
    event: str
    detail: Mapping[str, Any]
    by: str
    reason: str | None
    db_user: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What a worker writes down about an organization it holds. None leaves as it was.

    Attributes:
        state: The next state.
        namespace_uid: The namespace that is ours now.
        observed_generation: The generation that was carried out; operations up to it are done.
        conditions: All conditions there are now.
        receipt: What the isolation probes showed.
        attempts: Failures in a row.
        retry_in_s: When to look again, in seconds.
        idle: There is no need to look again until somebody asks for something.
        quarantine_s: How long the name stays unused, in seconds; with ``state`` deleted.
        error: Why the operations under way have failed: ``code`` and ``message``.
        release: Let the lease go.
        event, detail: A line of history of its own, as for a repair.
        by, reason: Who history names. By default the operation's requester is not known here: give them.
    """

    state: State | None = None
    namespace_uid: str | None = None
    observed_generation: int | None = None
    conditions: tuple[Condition, ...] | None = None
    receipt: IsolationReceipt | None = None
    attempts: int | None = None
    retry_in_s: float | None = None
    idle: bool = False
    quarantine_s: float | None = None
    error: Mapping[str, str] | None = None
    release: bool = False
    event: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    by: str | None = None
    reason: str | None = None
