"""Requests and results of the provisioner, checked when they are made. Pure.

What the database knows of tenants is in :mod:`hotconfig.core.tenants.records` and is exported from here again, so that
one import serves.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from hotconfig.core.tenants.records import (
    Asked,
    Condition,
    IsolationReceipt,
    Lease,
    NewOrganization,
    Operation,
    Organization,
    Past,
    Probe,
    Progress,
    QuotaTexts,
    Request,
)
from hotconfig.core.tenants.states import ConditionKind, OperationKind, OperationState, State
from hotconfig.provisioner.errors import InvalidNameError, InvalidQuantityError
from hotconfig.provisioner.names import check_slug
from hotconfig.provisioner.quantities import Quantity, check

MAX_NAME: Final = 200


class Adoption(StrEnum):
    """What to do with a namespace of the right name that is not ours."""

    NEVER = "never"
    """Fail and touch nothing."""
    IF_IDENTICAL = "if_identical"
    """Take it if it holds nothing that would have to be changed."""
    ALWAYS = "always"
    """Take it and make it what is wanted."""


@dataclass(frozen=True, slots=True, init=False)
class Quota:
    """How much a tenant may use: CPU (requests and limits), memory (likewise) and storage that it may request.

    Compared by amounts: ``Quota("1", "1Gi", "0") == Quota("1000m", "1024Mi", "0")``.
    """

    cpu: Quantity
    memory: Quantity
    storage: Quantity

    def __init__(self, cpu: Quantity | str | int, memory: Quantity | str | int, storage: Quantity | str | int) -> None:
        """Check and keep.

        Raises:
            InvalidQuantityError: one of them is no quantity, negative or absurd; see :func:`quantities.check`.
        """
        object.__setattr__(self, "cpu", check("cpu", cpu))
        object.__setattr__(self, "memory", check("memory", memory))
        object.__setattr__(self, "storage", check("storage", storage))

    @classmethod
    def read(cls, texts: QuotaTexts) -> Quota:
        """Understand what stands in the rows, perhaps written by hand.

        Raises:
            InvalidQuantityError: a row is missing, holds NULL, or is no quantity; the message names its key.
        """
        missing = [key for key, text in texts.by_key().items() if text is None]
        if missing:
            raise InvalidQuantityError(
                f"service k8s has no value for {', '.join(missing)}: give it one, with adopt or set_quota"
            )
        return cls(texts.cpu or "", texts.memory or "", texts.storage or "")

    def texts(self) -> QuotaTexts:
        """How it is written into the rows: canonical, as Kubernetes shows it."""
        return QuotaTexts(str(self.cpu), str(self.memory), str(self.storage))


@dataclass(frozen=True, slots=True)
class CreateOrganization:
    """A tenant that is wanted.

    Raises:
        InvalidNameError: the slug, the name or the mail address cannot be.
    """

    slug: str
    name: str
    owner_email: str
    quota: Quota = Quota("10", "20Gi", "10Gi")
    deletion_protected: bool = False

    def __post_init__(self) -> None:
        check_slug(self.slug)
        if not self.name.strip() or len(self.name) > MAX_NAME or not self.name.isprintable():
            raise InvalidNameError(f"the name of {self.slug!r} must be 1 to {MAX_NAME} printable characters")
        local, at, domain = self.owner_email.rpartition("@")
        if not (local and at and domain) or len(self.owner_email) > 254 or not _plain(self.owner_email):
            raise InvalidNameError(f"the owner_email of {self.slug!r} is no mail address")

    def new(self) -> NewOrganization:
        """What is stored."""
        return NewOrganization(
            self.slug, self.name, self.owner_email, self.quota.texts(), deletion_protected=self.deletion_protected
        )

    def as_json(self) -> dict[str, Any]:
        """What is stored with the operation, and hashed for the idempotency key."""
        return {
            "slug": self.slug,
            "name": self.name,
            "owner_email": self.owner_email,
            "quota": self.quota.texts().by_key(),
            "deletion_protected": self.deletion_protected,
        }


def make_request(body: dict[str, Any], *, idempotency_key: str, by: str, reason: str | None = None) -> Request:
    """A request as the database keeps it, with the SHA-256 by which another body under the same key is noticed.

    By amounts, where quotas come from :meth:`Quota.texts`: ``1Gi`` and ``1024Mi`` are the same request. Who asks is not
    part of it.
    """
    return Request(body, request_hash(body), idempotency_key, by, reason)


def request_hash(request: dict[str, Any]) -> str:
    """The SHA-256 of a request's canonical JSON."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Planned:
    """Something that carrying out would do: a line of ``plan``."""

    verb: Literal["create", "apply", "fill status", "delete"]
    kind: str
    name: str
    why: str


def _plain(text: str) -> bool:
    return text.isprintable() and not any(character.isspace() for character in text)


__all__ = [
    "Adoption",
    "Asked",
    "Condition",
    "ConditionKind",
    "CreateOrganization",
    "IsolationReceipt",
    "Lease",
    "NewOrganization",
    "Operation",
    "OperationKind",
    "OperationState",
    "Organization",
    "Past",
    "Planned",
    "Probe",
    "Progress",
    "Quantity",
    "Quota",
    "QuotaTexts",
    "Request",
    "State",
    "make_request",
    "request_hash",
]
