"""One organization at one moment: what is known of it, and what there is to write down. Pure.

Owns no order of steps; that is :mod:`hotconfig.provisioner.steps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hotconfig.provisioner.errors import InvalidQuantityError
from hotconfig.provisioner.failures import MAX_RETRY_S, condition, failure
from hotconfig.provisioner.model import (
    Adoption,
    Condition,
    ConditionKind,
    IsolationReceipt,
    OperationKind,
    Organization,
    Progress,
    Quota,
    State,
)
from hotconfig.provisioner.names import namespace_of
from hotconfig.provisioner.observation import Claim, Glance, Look, Observation, Remove, Renew, Step
from hotconfig.provisioner.template import (
    MANAGED_BY,
    MANAGER,
    ORG_ID,
    QUOTA,
    Desired,
    Key,
    Manifest,
    TenantTemplate,
    desired,
    fenced,
    part,
)

FIRST_BUSY_RETRY_S: Final = 0.1
BUSY_RETRY_S: Final = 2.0
HELD_RETRY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Either steps, to be carried out side by side, or progress, to be recorded; neither: nothing is to be done.

    ``deletes`` marks the removal of a namespace, for counting.
    """

    steps: tuple[Step, ...] = ()
    progress: Progress | None = None
    deletes: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """The facts, for whoever decides."""

    organization: Organization
    seen: Observation
    template: TenantTemplate
    now: datetime
    may_delete: bool

    @property
    def _namespace(self) -> str:
        return self.organization.namespace or namespace_of(self.organization.slug)

    @property
    def _is_new(self) -> bool:
        """Whether it is worth claiming without looking: nobody has tried before."""
        operation = self.organization.operation
        fresh = self.organization.namespace_uid is None and not self.organization.attempts and not self.seen.claims
        return fresh and operation is not None and operation.kind is OperationKind.CREATE

    @property
    def _may_glance(self) -> bool:
        """Whether all but the namespace and its quota stood when it was last seen, and is not asked to change.

        Between ``active`` and ``suspended`` these two make all the difference. What drifts elsewhere, the reconciler
        finds.
        """
        organization = self.organization
        stands = organization.state in {State.ACTIVE, State.SUSPENDED} and organization.namespace_uid is not None
        untroubled = all(each.kind is ConditionKind.PROBES_INCOMPLETE for each in organization.conditions)
        return stands and untroubled and not organization.settled and not organization.attempts

    @property
    def _saw_enough(self) -> bool:
        """Whether a glance showed our namespace as it was left, with a quota in it."""
        live, quota = self.seen.namespace, self._live(Key("ResourceQuota", QUOTA))
        known = live is not None and live["metadata"]["uid"] == self.organization.namespace_uid
        return known and quota is not None

    @property
    def _adoption(self) -> Adoption:
        operation = self.organization.operation
        if operation is None or operation.kind is not OperationKind.ADOPT:
            return Adoption.NEVER
        asked = operation.request.get("adoption")
        return next((policy for policy in Adoption if policy == asked), Adoption.NEVER)

    def _look(self) -> Look:
        return Look(self._namespace)

    def _first_look(self) -> Look | Glance | Renew | Claim:
        if self._is_new:
            return self._claim()
        if not self._may_glance:
            return self._look()
        return self._renew() or Glance(self._namespace)

    def _renew(self) -> Renew | None:
        """What is wanted, without looking first, where the UIDs tell that it can only be ours."""
        known, quota = self.seen.known, self._desired()[0].quota
        if known is None or quota is None or known.namespace_uid != self.organization.namespace_uid:
            return None
        namespace = fenced(self._desired()[0].namespace, known.namespace_uid)
        return Renew(namespace, fenced(quota, known.quota_uid))

    def _claim(self) -> Claim:
        return Claim(self._desired()[0].claim)

    def _remove(self, key: Key, live: Manifest, why: str) -> Remove:
        return Remove(key, self._namespace, live["metadata"]["uid"], why)

    @property
    def _operation_id(self) -> str:
        return "" if self.organization.operation is None else str(self.organization.operation.id)

    def _live(self, key: Key) -> Manifest | None:
        return (self.seen.objects or {}).get(key)

    def _is_ours(self, live: Manifest) -> bool:
        return part(live, "metadata", "annotations").get(ORG_ID) == str(self.organization.uid) or bool(
            live["metadata"]["uid"] == self.organization.namespace_uid
        )

    def _made_by_us(self, live: Manifest) -> bool:
        labels = part(live, "metadata", "labels")
        return labels.get(MANAGED_BY) == MANAGER and labels.get(ORG_ID) == str(self.organization.uid)

    def _desired(self) -> tuple[Desired, Condition | None]:
        draft = self.seen.draft
        if draft.drawn is None or draft.organization is not self.organization or draft.template is not self.template:
            draft.drawn, draft.complaint = self._draw()
            draft.organization, draft.template = self.organization, self.template
        if draft.complaint is None:
            return draft.drawn, None
        return draft.drawn, self._condition(ConditionKind.QUOTA_INVALID, "Unreadable", draft.complaint)

    def _draw(self) -> tuple[Desired, str | None]:
        quota, complaint = None, None
        try:
            quota = Quota.read(self.organization.quota)
        except InvalidQuantityError as error:
            complaint = str(error)
        made = desired(
            self.organization,
            self.template,
            quota,
            operation_id=self._operation_id,
            cordoned=self.organization.state is State.SUSPENDED,
            isolated=self.organization.state is State.OFFBOARDING,
        )
        return made, complaint

    # what is written down

    def _condition(self, kind: ConditionKind, reason: str, message: str) -> Condition:
        return condition(self.organization, kind, reason, message, now=self.now)

    def _wait(self, kind: ConditionKind, reason: str, message: str, retry_in_s: float) -> Decision:
        live = self.seen.namespace
        ours = live is not None and self._is_ours(live)
        return Decision(
            progress=Progress(
                namespace_uid=live["metadata"]["uid"] if live is not None and ours else None,
                conditions=(self._condition(kind, reason, message),),
                attempts=self.organization.attempts + 1,
                retry_in_s=retry_in_s,
                release=True,
            )
        )

    def _busy(self) -> Decision:
        # An empty namespace is gone in a moment, one that is not takes its time.
        retry_in_s = min(BUSY_RETRY_S, FIRST_BUSY_RETRY_S * 2.0 ** min(self.organization.attempts, 8))
        return self._wait(ConditionKind.NAME_BUSY, "Terminating", "its namespace is being deleted", retry_in_s)

    def _halt(self, found: Condition | None) -> Decision:
        """Wait until somebody mends the rows; that makes the organization due by itself."""
        return Decision(
            progress=Progress(
                conditions=() if found is None else (found,),
                attempts=self.organization.attempts + 1,
                retry_in_s=MAX_RETRY_S,
                release=True,
            )
        )

    def _hold(self, reason: str, message: str) -> Decision:
        return self._wait(ConditionKind.DELETION_HELD, reason, message, HELD_RETRY_S)

    def _failure(self, code: str, message: str) -> Progress:
        return failure(self.organization, code, message, now=self.now)

    def _receipt_of(self, uid: str) -> IsolationReceipt | None:
        receipt = self.seen.receipt or self.organization.isolation_receipt
        return receipt if receipt is not None and receipt.namespace_uid == uid else None


def is_deleting(live: Manifest) -> bool:
    """Whether the API server is removing it."""
    return bool(live["metadata"].get("deletionTimestamp"))
