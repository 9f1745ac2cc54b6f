"""From a stored request to its result: rounds inline while that helps, looking on while another worker has it.

Owns what every request says beside what it wants, and how long its caller waits. Decides nothing about tenants.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Required, TypedDict
from uuid import uuid4

import anyio

from hotconfig.core.errors import HotConfigError
from hotconfig.provisioner import errors
from hotconfig.provisioner.asking import MAX_KEY, check_seconds, check_story, check_text
from hotconfig.provisioner.errors import KubernetesRefusedError, LeaseLostError, WrongStateError
from hotconfig.provisioner.model import (
    Asked,
    Lease,
    Operation,
    OperationKind,
    OperationState,
    Organization,
    Request,
    make_request,
)
from hotconfig.provisioner.progress import Tell, news, nobody
from hotconfig.provisioner.rows import TenantRows
from hotconfig.provisioner.worker import Worked, Worker

logger: Final = logging.getLogger("hotconfig.provisioner")

WAIT_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.5


class Asking(TypedDict, total=False):
    """What every request says beside what it wants; for the signature of functions that pass it on."""

    by: Required[str]
    """Who asks, for the histories."""
    idempotency_key: str
    """The same key is the same operation. By default, each call is a new one."""
    reason: str | None
    wait_s: float
    """How long the call waits for the operation, in seconds; 0: it is stored and left to a reconciler."""
    on_progress: Tell
    """Is told a line for each step and condition meanwhile, in the event loop: it must neither wait nor raise."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a request.

    Attributes:
        organization, operation: As they were last seen.
        made: False if this idempotency key had asked for the same before.
        overused: Where the quota is below what is used: resource → (used, allowed). Nothing running is stopped, but
            nothing more starts.
    """

    organization: Organization
    operation: Operation
    made: bool
    overused: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    @property
    def finished(self) -> bool:
        """Whether it is carried out. If not, answer 202 and follow ``operation.id``."""
        return self.operation.finished


@dataclass(frozen=True, slots=True)
class Following:
    """Follows requests to their results; any number of tasks at once, each with a lease of its own."""

    rows: TenantRows
    worker: Worker

    def lease(self, asking: Asking) -> Lease | None:
        """What a request is stored with, if its caller waits: the lease for its first round."""
        return self.worker.new_lease() if asking.get("wait_s", WAIT_S) > 0 else None

    async def follow(self, asked: Asked, lease: Lease | None, asking: Asking) -> Result:
        """Work on it while that helps, and look on while another does; until it is finished or the time is over."""
        result = Result(asked.organization, asked.operation, asked.made)
        with anyio.move_on_after(asking.get("wait_s", WAIT_S)):
            pause_s = FIRST_PAUSE_S
            while not result.finished and lease is not None:
                result = await self._advance(result, lease, asking.get("on_progress", nobody))
                if not result.finished:
                    await anyio.sleep(pause_s)
                    pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)
                    lease = self.worker.new_lease()
        if result.operation.state is OperationState.FAILED:
            raise failed(result.operation.error or {})
        return result

    async def _advance(self, result: Result, lease: Lease, tell: Tell) -> Result:
        """A round, if it is ours to make; then how it stands."""
        worked: Worked | None = None
        leased = await self._leased(result, lease)
        if leased is not None:
            may_delete = result.operation.kind is OperationKind.PURGE
            try:
                worked = await self.worker.work(leased, lease, may_delete=may_delete, tell=tell)
            except LeaseLostError:
                logger.info("organization %s: another worker goes on", leased.slug)
        known = None if worked is None else worked.organization
        if known is not None and known.operation is not None and known.operation.id == result.operation.id:
            asked = Asked(known.operation, known, made=result.made)
        else:
            asked = await self.rows.operation(result.operation.id) or Asked(
                result.operation, result.organization, made=result.made
            )
            for line in news(result.organization, asked.organization):
                tell(line)
        return Result(
            asked.organization, asked.operation, result.made, result.overused if worked is None else worked.overused
        )

    async def _leased(self, result: Result, lease: Lease) -> Organization | None:
        """The organization, if it is leased to us or can be now and is due."""
        if result.organization.lease_owner == lease.owner:
            return result.organization
        asked = await self.rows.operation(result.operation.id)
        if asked is None or asked.operation.finished or not asked.organization.is_due:
            return None
        return next(iter(await self.rows.lease(lease, slug=asked.organization.slug)), None)


def request_of(body: dict[str, Any], asking: Asking) -> Request:
    """A request as the database keeps it; without a key of the caller's, a key that there never was.

    Raises:
        InvalidRequestError: something of it cannot be kept.
        TypeError: ``by`` is missing, or there is an argument that no request takes.
    """
    known = Asking.__required_keys__ | Asking.__optional_keys__
    if unknown := sorted(asking.keys() - known):
        raise TypeError(f"unexpected keyword argument {', '.join(unknown)}: a request takes {', '.join(sorted(known))}")
    if "by" not in asking:
        raise TypeError("missing keyword argument by: say who asks, for the histories")
    key, reason = asking.get("idempotency_key"), asking.get("reason")
    check_story(asking["by"], reason)
    if key is not None:
        check_text("idempotency_key", key, most=MAX_KEY)
    check_seconds("wait_s", asking.get("wait_s", WAIT_S))
    return make_request(body, idempotency_key=key or uuid4().hex, by=asking["by"], reason=reason)


def failed(
    error: Mapping[str, Any], way_out: str = "The organization is failed: mend that, then adopt it."
) -> HotConfigError:
    """The error that made an operation fail, by its code; or would make it."""
    code, message = str(error.get("code", "")), str(error.get("message", "it failed"))
    if code == "superseded":
        return WrongStateError(f"{message}: look at the organization")
    kind = getattr(errors, f"{code}Error", None) if code else None
    told = f"{message.rstrip('.')}. {way_out}"
    if isinstance(kind, type) and issubclass(kind, HotConfigError):
        return kind(told)
    return KubernetesRefusedError(told)
