"""One round of work on one organization: decide, carry out, record, until the lease is let go.

Owns the loop that :mod:`steps` describes, and the lease while it runs. Does not choose whom to work on.
"""

from __future__ import annotations

import logging
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import uuid4

import anyio

from hotconfig.core.errors import HotConfigError
from hotconfig.provisioner.carrying import Hands
from hotconfig.provisioner.drift import overused
from hotconfig.provisioner.errors import LeaseLostError
from hotconfig.provisioner.failures import after_failure
from hotconfig.provisioner.model import Lease, Organization, Progress
from hotconfig.provisioner.observation import Answer, Apply, Enforce, Known, Observation, Remove, Step
from hotconfig.provisioner.progress import Tell, news, nobody, told
from hotconfig.provisioner.rounds import Decision
from hotconfig.provisioner.rows import TenantRows
from hotconfig.provisioner.steps import decide
from hotconfig.provisioner.template import MANAGER, QUOTA, Key

logger: Final = logging.getLogger("hotconfig.provisioner")

LEASE_S: Final = 30.0
"""Longer than a few calls that time out: what holds it also makes it last."""
REMEMBERED: Final = 10_000
"""Organizations whose UIDs a worker remembers, at about 300 bytes each."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What a round came to.

    ``deleted``: the namespace was told to go. ``overused``: where the quota is below what is used, resource →
    (used, allowed).
    """

    organization: Organization
    deleted: bool = False
    overused: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


@dataclass(slots=True)
class _Round:
    """What is known in one round."""

    organization: Organization
    lease: Lease
    may_delete: bool
    kept_at: float
    was_settled: bool
    resumes: bool
    seen: Observation
    tell: Tell
    repairs: list[str] = field(default_factory=list[str])
    deleted: bool = False

    def carried_out(self, step: Step) -> None:
        if isinstance(step, Apply | Enforce | Remove):
            self.repairs.append(f"{_named(step)} {step.why}")
        self.tell(told(step))

    def worked(self) -> Worked:
        quota = (self.seen.objects or {}).get(Key("ResourceQuota", QUOTA))
        return Worked(self.organization, self.deleted, {} if quota is None else overused(quota, quota))


class Memory:
    """The UIDs that rounds saw last, of so many organizations; whoever is not among them is looked at first."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._known: dict[str, Known] = {}

    def of(self, slug: str) -> Known | None:
        """What was seen of it last, if anything."""
        return self._known.get(slug)

    def keep(self, slug: str, known: Known | None) -> None:
        """Remember, and forget the longest known one when there are too many."""
        self._known.pop(slug, None)
        if known is not None:
            self._known[slug] = known
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]


@dataclass(frozen=True, slots=True)
class Worker:
    """Works on organizations that are leased to it. Any number of tasks at once, one organization each."""

    rows: TenantRows
    hands: Hands
    lease_s: float = LEASE_S
    memory: Memory = field(default_factory=Memory)

    def new_lease(self) -> Lease:
        """A lease of an owner that there never was; one for each piece of work."""
        return Lease(f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}", self.lease_s)

    async def work(
        self,
        organization: Organization,
        lease: Lease,
        *,
        may_delete: bool = False,
        resumes: bool = False,
        tell: Tell = nobody,
    ) -> Worked:
        """Do what can be done now, and let the lease go. Errors of Kubernetes are recorded, not raised.

        With ``resumes``, a worker died while it looked after this settled organization: the history says so, since that
        one may have repaired something and not have written it down.

        Raises:
            LeaseLostError: another worker goes on; or something else was asked for meanwhile.
            DatabaseUnavailableError: nothing could be recorded. The lease runs out by itself.
        """
        settled = organization.settled
        seen = Observation(known=self.memory.of(organization.slug))
        now = _Round(organization, lease, may_delete, anyio.current_time(), settled, resumes, seen, tell)
        try:
            while not await self._advance(now):
                pass
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):  # else nobody could go on before it runs out
                await self._let_go(now)
            raise
        self.memory.keep(organization.slug, now.seen.uids())
        return now.worked()

    async def _advance(self, now: _Round) -> bool:
        """Make one decision come true. True: the round is over."""
        await self._keep(now)
        at = now.organization.read_at
        try:
            decision = decide(now.organization, now.seen, self.hands.template, now=at, may_delete=now.may_delete)
            await self._carry_out(now, decision)
        except HotConfigError as error:
            chance = random.random()  # noqa: S311 - jitter
            failed = after_failure(now.organization, error, now=at, chance=chance)
            return await self._record(now, failed)
        if decision.progress is not None:
            return await self._record(now, decision.progress)
        if not decision.steps:
            await self.rows.release(now.organization.slug, now.lease.owner)
        return not decision.steps

    async def _let_go(self, now: _Round) -> None:
        """In the middle of a round; of what was repaired by then the history says so."""
        if now.was_settled and now.repairs:
            try:
                await self._record(now, Progress(release=True))
            except LeaseLostError:
                logger.info("organization %s: what was repaired is told by whoever goes on", now.organization.slug)
            else:
                return
        await self.rows.release(now.organization.slug, now.lease.owner)

    async def _keep(self, now: _Round) -> None:
        if anyio.current_time() - now.kept_at < self.lease_s / 3:
            return
        if not await self.rows.keep(now.organization.slug, now.lease):
            raise LeaseLostError(f"the lease of organization {now.organization.slug!r} ran out, another goes on")
        now.kept_at = anyio.current_time()

    async def _carry_out(self, now: _Round, decision: Decision) -> None:
        if not decision.steps:
            return
        answered: list[Step] = []

        def learn(step: Step, answer: Answer) -> None:
            answered.append(step)
            now.seen = now.seen.after(step, answer)

        try:
            await self.hands.carry_out(now.organization, decision.steps, learn)
        finally:  # also what was done before another one failed, in the order of the steps
            for step in decision.steps:
                if any(step is each for each in answered):
                    now.carried_out(step)
        now.deleted |= decision.deletes

    async def _record(self, now: _Round, progress: Progress) -> bool:
        operation = now.organization.operation
        by = MANAGER if now.was_settled or operation is None else operation.by
        progress = replace(progress, by=progress.by or by)
        if progress.release and now.was_settled and progress.event is None:
            if now.repairs:
                progress = replace(progress, event="repaired", detail={"objects": now.repairs})
            elif now.resumes:
                progress = replace(progress, event="resumed")
        before = now.organization
        now.organization = await self.rows.record(now.organization, now.lease.owner, progress)
        for line in news(before, now.organization):
            now.tell(line)
        return progress.release


def _named(step: Step) -> str:
    match step:
        case Apply(manifest=manifest) | Enforce(manifest=manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']}"
        case Remove(key=key):
            return f"{key.kind} {key.name}"
        case _:
            return type(step).__name__
