"""The state machine: from what the database wants and what Kubernetes showed to what is to be done next. Pure.

Whoever works on an organization runs this loop, holding its lease::

    seen = Observation()
    while True:
        decision = decide(organization, seen, template, now=...)
        if decision.steps:                      # side by side
            answers = [await carry_out(step) for step in decision.steps]
            for step, answer in zip(decision.steps, answers): seen = seen.after(step, answer)
        elif decision.progress:
            organization = await rows.record(organization, owner, decision.progress)
            if decision.progress.release: break
        else:
            break                               # unmanaged, deleted, failed

A step that raises ends the round: :func:`failures.after_failure` says what is recorded. Everything may be interrupted
after any step and begun again with an empty :class:`Observation`: each step can be done twice, and what was done is
seen. Whose a namespace is stands in its annotation, so even a claim that nobody recorded is found again. The loop ends:
what apply does not repair is applied twice, then told and tried again later.

There is no way from an absent row to a deletion: only state ``purging`` leads to :class:`RemoveNamespace`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from hotconfig.provisioner.drift import compare, in_force
from hotconfig.provisioner.failures import MAX_RETRY_S
from hotconfig.provisioner.model import Adoption, Condition, ConditionKind, Organization, Progress, State
from hotconfig.provisioner.observation import (
    STATUS,
    Apply,
    Enforce,
    FillStatus,
    Observation,
    ProbeIsolation,
    RemoveNamespace,
    Step,
)
from hotconfig.provisioner.rounds import BUSY_RETRY_S, HELD_RETRY_S, Decision, Round, is_deleting
from hotconfig.provisioner.template import (
    ADMIN,
    ORG_ID,
    Desired,
    Key,
    Manifest,
    TenantTemplate,
    closed_policy,
    desired,
    fenced,
    key_of,
    other_binding_name,
    part,
    renamed,
    with_status,
)

PENDING_RETRY_S: Final = 0.25
STATUS_ATTEMPTS: Final = 3
"""How often in one round the status of a quota is written before it is left to the controller for a while."""
APPLY_ATTEMPTS: Final = 2
"""How often in one round the same object is applied, or the namespace claimed."""


def decide(
    organization: Organization,
    seen: Observation,
    template: TenantTemplate,
    *,
    now: datetime,
    may_delete: bool = True,
) -> Decision:
    """What to do next. ``now`` is aware. ``may_delete`` is what :func:`brake` allows.

    Raises:
        TemplateError: the template makes objects that cannot be.
    """
    return _Work(organization, seen, template, now, may_delete).decide()


@dataclass(frozen=True, slots=True)
class _Work(Round):
    """What to do about one organization at one moment."""

    def decide(self) -> Decision:
        match self.organization.state:
            case State.REQUESTED:
                return Decision(progress=Progress(state=State.PROVISIONING))
            case State.PROVISIONING | State.ACTIVE | State.SUSPENDED:
                return self._stand()
            case State.OFFBOARDING:
                return self._isolate()
            case State.PURGING:
                return self._purge()
            case _:
                return Decision()

    # provisioning, active, suspended: it stands, fences first, the gate last

    def _stand(self) -> Decision:
        if not self.seen.looked:
            return Decision((self._first_look(),))
        if self.seen.partial and not self._saw_enough:
            return Decision((self._look(),))
        live = self.seen.namespace
        if live is None:
            return self._claim_anew()
        if is_deleting(live):
            return self._busy()
        if not self._is_ours(live):
            return self._meet_stranger(live)
        return self._fail_breached(live) or self._make_stand()

    def _claim_anew(self) -> Decision:
        if self.seen.claims < APPLY_ATTEMPTS:
            return Decision((self._claim(),))
        return self._wait(ConditionKind.NAME_BUSY, "Contended", "its namespace comes and goes", BUSY_RETRY_S)

    def _make_stand(self) -> Decision:
        wanted, condition = self._desired()
        if wanted.quota is None and self.organization.state is State.PROVISIONING:
            return self._halt(condition)
        return self._repair(wanted) or self._probe() or self._settle(condition)

    def _repair(self, wanted: Desired) -> Decision | None:
        """Fences side by side, the quota in force among them; then the binding, only when all that stands."""
        if steps := (*self._fence(wanted), *self._name(wanted)):  # what takes two round trips is begun first
            return self._attempt(steps)
        if decision := self._enforce(wanted):
            return decision
        if self.seen.partial:
            return None
        # One after the other: the new binding stands before an old one goes.
        return self._attempt(tuple(self._bind(wanted.binding))[:1])

    def _attempt(self, steps: tuple[Step, ...]) -> Decision | None:
        """Do it, unless it was done before in this round and did not help."""
        keys = [key_of(step.manifest) for step in steps if isinstance(step, Apply | Enforce)]
        tried = [key for key in keys if self._is_futile(key)]
        if not tried:
            return Decision(steps) if steps else None
        names = ", ".join(f"{kind} {name}" for kind, name in tried)
        return self._wait(ConditionKind.DRIFT, "NotRepaired", f"apply does not repair {names}", HELD_RETRY_S)

    def _is_futile(self, key: Key) -> bool:
        return self.seen.attempts.get(key, 0) >= APPLY_ATTEMPTS

    def _enforce(self, wanted: Desired) -> Decision | None:
        quota = None if wanted.quota is None else self._live(key_of(wanted.quota))
        if quota is None or in_force(quota):
            return None
        if self.seen.attempts.get(STATUS, 0) < STATUS_ATTEMPTS:
            return Decision((FillStatus(with_status(quota)),))
        pending = "the quota is applied, but not in force yet"
        return self._wait(ConditionKind.UPDATE_PENDING, "StatusBehind", pending, PENDING_RETRY_S)

    def _name(self, wanted: Desired) -> Iterator[Step]:
        live = self.seen.namespace
        if live is None or self.seen.stands(fenced(wanted.namespace, live["metadata"]["uid"])):
            return
        if not (found := compare(wanted.namespace, live)).same:
            yield Apply(fenced(wanted.namespace, live["metadata"]["uid"]), found.why)

    def _fence(self, wanted: Desired) -> Iterator[Step]:
        for manifest in self._looked_at(wanted.behind_the_gate):
            if self.seen.stands(manifest):
                continue
            live = self._live(key_of(manifest))
            found = compare(manifest, live)
            if live is not None and any(each.replace for each in found.differences):
                yield self._remove(key_of(manifest), live, found.why)
            elif not found.same:
                make = Enforce if manifest["kind"] == "ResourceQuota" else Apply
                yield make(manifest, found.why)
        kept = {key_of(manifest) for manifest in wanted.behind_the_gate}
        for key, live in (self.seen.objects or {}).items():
            if key.kind == "NetworkPolicy" and key not in kept and self._made_by_us(live):
                closed = closed_policy(live)
                if not (found := compare(closed, live)).same:
                    yield Apply(closed, "is not wanted any more")

    def _looked_at(self, fences: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
        return tuple(each for each in fences if not self.seen.partial or each["kind"] == "ResourceQuota")

    def _bind(self, wanted: Manifest) -> Iterator[Step]:
        """A binding's role cannot be changed: a new binding, and only then the old one goes."""
        ours = {
            key: live
            for key, live in (self.seen.objects or {}).items()
            if key.kind == "RoleBinding" and (key.name == ADMIN or self._made_by_us(live))
        }
        if not ours and not wanted["subjects"]:
            return  # closed already: nobody was ever let in
        right = [key for key, live in sorted(ours.items()) if live.get("roleRef") == wanted["roleRef"]]
        free = Key("RoleBinding", ADMIN) not in ours
        name = right[0].name if right else ADMIN if free else other_binding_name(wanted["roleRef"]["name"])
        manifest = renamed(wanted, name)
        if not self.seen.stands(manifest) and not (found := compare(manifest, ours.get(key_of(manifest)))).same:
            yield Apply(manifest, found.why)
        for key, live in ours.items():
            if key != key_of(manifest):
                yield self._remove(key, live, "binds another role")

    def _probe(self) -> Decision | None:
        live = self.seen.namespace
        if self.organization.state is not State.PROVISIONING or not self.template.probe or live is None:
            return None
        uid = live["metadata"]["uid"]
        return None if self._receipt_of(uid) else Decision((ProbeIsolation(self._namespace, uid),))

    def _fail_breached(self, live: Manifest) -> Decision | None:
        """A probe went through: shut the gate, then give up."""
        receipt = self._receipt_of(live["metadata"]["uid"])
        if self.organization.state is not State.PROVISIONING or receipt is None or not receipt.breaches:
            return None
        if self.seen.objects is None:
            return Decision((self._look(),))
        if steps := tuple(self._bind(desired(self.organization, self.template, None, isolated=True).binding)):
            return self._attempt(steps)
        named = ", ".join(probe.name for probe in receipt.breaches)
        said = (
            f"tenant {self.organization.slug} could do what must be denied: {named}. Look at what its group is granted"
        )
        return Decision(progress=replace(self._failure("IsolationBreached", said), receipt=receipt))

    def _settle(self, condition: Condition | None) -> Decision:
        """Everything stands. Write it down."""
        receipt = self.seen.receipt
        conditions = [] if condition is None else [condition]
        known = receipt or self.organization.isolation_receipt
        if known is not None and known.not_made:
            names = ", ".join(probe.name for probe in known.not_made)
            conditions.append(self._condition(ConditionKind.PROBES_INCOMPLETE, "NotMade", f"not probed: {names}"))
        live = self.seen.namespace
        return Decision(
            progress=Progress(
                state=State.ACTIVE if self.organization.state is State.PROVISIONING else None,
                namespace_uid=None if live is None else live["metadata"]["uid"],
                observed_generation=self.organization.generation,
                conditions=tuple(conditions),
                receipt=receipt,
                attempts=0,
                idle=True,
                release=True,
            )
        )

    def _meet_stranger(self, live: Manifest) -> Decision:
        """The namespace is not ours. Nothing is written to it, unless somebody asked for exactly that."""
        whose = part(live, "metadata", "annotations").get(ORG_ID)
        said = f"namespace {self._namespace} belongs to {'another organization' if whose else 'somebody else'}"
        if self.organization.state is not State.PROVISIONING:
            return self._wait(ConditionKind.DRIFT, "NamespaceConflict", said, MAX_RETRY_S)
        way_out = "adopting it with the policy if_identical or always takes it over"
        wanted, _ = self._desired()
        policy = self._adoption
        if policy is Adoption.ALWAYS or (policy is Adoption.IF_IDENTICAL and self._is_identical(wanted)):
            return Decision((Apply(fenced(wanted.namespace, live["metadata"]["uid"]), "is adopted"),))
        if policy is Adoption.IF_IDENTICAL:
            said += ", and is not what would be made"
            way_out = "adopting it with the policy always makes it so"
        return Decision(progress=self._failure("NamespaceConflict", f"{said}; {way_out}"))

    def _is_identical(self, wanted: Desired) -> bool:
        """Whether nothing but labels would change."""
        return all(
            each.path.startswith("metadata.")
            for manifest in wanted.behind_the_gate
            for each in compare(manifest, self._live(key_of(manifest))).differences
        )

    # offboarding, purging

    def _isolate(self) -> Decision:
        if not self.seen.looked:
            return Decision((self._look(),))
        live = self.seen.namespace
        if live is not None and not is_deleting(live) and self._is_ours(live):
            wanted, _ = self._desired()
            # All at once: whatever is shut first, the better.
            if steps := (*self._bind(wanted.binding), *self._name(wanted), *self._fence(wanted)):
                return self._attempt(steps) or Decision()
            if decision := self._enforce(wanted):
                return decision
        left_s = 0.0 if (until := self.organization.purge_after) is None else (until - self.now).total_seconds()
        if self.organization.settled and left_s <= 0:
            return self._begin_purge()
        return Decision(
            progress=Progress(
                observed_generation=self.organization.generation,
                conditions=(),
                attempts=0,
                retry_in_s=max(0.0, left_s),
                release=True,
            )
        )

    def _begin_purge(self) -> Decision:
        if self.organization.deletion_protected:
            return self._hold("Protected", "it is protected from deletion")
        if not self.may_delete:
            return self._hold("Brake", "the brake holds deletions back in this cycle")
        return Decision(progress=Progress(state=State.PURGING, retry_in_s=0.0))

    def _purge(self) -> Decision:
        if not self.seen.looked:
            return Decision((self._look(),))
        live = self.seen.namespace
        if live is None:
            return self._bury("its namespace is gone")
        if not self._is_ours(live):
            return self._bury("the namespace of its name is not ours and stays")
        if is_deleting(live):
            return self._busy()
        if not self.may_delete:
            return self._hold("Brake", "the brake holds deletions back in this cycle")
        return Decision((RemoveNamespace(self._namespace, live["metadata"]["uid"]),), deletes=True)

    def _bury(self, why: str) -> Decision:
        return Decision(
            progress=Progress(
                state=State.DELETED,
                observed_generation=self.organization.generation,
                conditions=(),
                quarantine_s=self.template.quarantine_s,
                reason=why,
                idle=True,
                release=True,
            )
        )


__all__ = ["APPLY_ATTEMPTS", "STATUS_ATTEMPTS", "Decision", "decide"]
