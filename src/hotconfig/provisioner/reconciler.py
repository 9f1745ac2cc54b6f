"""The cycle that keeps all tenants as they are wanted: what is due, what drifted, and the brake.

Several replicas may run it side by side: leases share the work out. Lists by kind, not by tenant: six requests tell
which of all tenants drifted, and only those are looked at closely.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio

from hotconfig.core.errors import HotConfigError, RetryableError
from hotconfig.core.tenants.states import LEASABLE
from hotconfig.provisioner.brake import Braked, brake
from hotconfig.provisioner.errors import LeaseLostError, TemplateError
from hotconfig.provisioner.model import Organization, Progress, State
from hotconfig.provisioner.names import namespace_of
from hotconfig.provisioner.observation import Look, Observation, Seen
from hotconfig.provisioner.steps import decide
from hotconfig.provisioner.template import LISTED_KINDS, SELECTOR, Manifest, TenantTemplate
from hotconfig.provisioner.together import side_by_side
from hotconfig.provisioner.worker import Worked, Worker

logger: Final = logging.getLogger("hotconfig.provisioner")

MAX_DELETIONS: Final = 5
SIDE_BY_SIDE: Final = 16


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one cycle came to, by names of organizations.

    Attributes:
        rows: How many managed organizations the database showed, tombstones included.
        worked: Those that a round was made for.
        drifted: Those of them that were settled, but not as they are wanted.
        deleted: Whose namespace was told to go.
        held: Whose deletion the brake holds back; ``brake`` says why.
        unavailable: Why drift could not be looked for in this cycle; empty if it was.
    """

    rows: int
    worked: tuple[str, ...]
    drifted: tuple[str, ...]
    deleted: tuple[str, ...]
    held: tuple[str, ...]
    brake: str = ""
    unavailable: str = ""


@dataclass(slots=True)
class _Cycle:
    braked: Braked
    left_behind: frozenset[str]
    worked: dict[str, Worked] = field(default_factory=dict[str, Worked])


class Reconciler:
    """Runs cycles, one after the other; remembers how many rows it has seen, for the brake."""

    def __init__(self, worker: Worker, *, max_deletions: int = MAX_DELETIONS, side_by_side: int = SIDE_BY_SIDE) -> None:
        self._worker = worker
        self._max_deletions = max_deletions
        self._side_by_side = side_by_side
        self._most_rows: int | None = None

    async def once(self) -> Reconciled:
        """One cycle: find drift, work on what is due, what drifted, and what a worker that died may have repaired.

        Raises:
            DatabaseUnavailableError, AccessDeniedError, SchemaMissingError: and nothing was done.
        """
        organizations = await self._worker.rows.list()
        managed = [each for each in organizations if each.state is not State.UNMANAGED]
        settled = [each for each in managed if each.state in LEASABLE and each.settled]
        cycle = _Cycle(self._brake(managed), frozenset(each.slug for each in settled if each.is_left_behind))
        drifted, unavailable = await self._drifted(settled)
        await self._work(cycle, [*drifted, *sorted(cycle.left_behind)])
        return Reconciled(
            rows=len(managed),
            worked=tuple(sorted(cycle.worked)),
            drifted=tuple(slug for slug in drifted if slug in cycle.worked),
            deleted=tuple(sorted(slug for slug, each in cycle.worked.items() if each.deleted)),
            held=tuple(sorted(cycle.braked.held)),
            brake=cycle.braked.reason,
            unavailable=unavailable,
        )

    async def run(self, *, interval_s: float = 30.0, on_cycle: Callable[[Reconciled], None] | None = None) -> None:
        """Cycle after cycle, until cancelled. What stands in the way of one is logged, and the next one is made.

        Also what has to be mended: the program around it goes on, and so does this when it is mended.
        """
        while True:
            try:
                found = await self.once()
                if on_cycle is not None:
                    on_cycle(found)
                if found.worked or found.held:
                    logger.info("worked on %d organizations, held %d", len(found.worked), len(found.held))
            except HotConfigError as error:
                level = logging.WARNING if isinstance(error, RetryableError) else logging.ERROR
                logger.log(level, "a cycle could not be made, the next comes in %g s: %s", interval_s, error)
            await anyio.sleep(interval_s)

    def _brake(self, managed: list[Organization]) -> Braked:
        leaving = [each for each in managed if _is_leaving(each)]
        leaving.sort(key=lambda each: (each.state is not State.PURGING, each.purge_after or each.read_at, each.slug))
        slugs = [each.slug for each in leaving]
        braked = brake(slugs, limit=self._max_deletions, rows_seen=len(managed), rows_before=self._most_rows)
        # The most there ever were: rows never go away, so a short read stays one in the next cycle too.
        self._most_rows = max(len(managed), self._most_rows or 0)
        return braked

    async def _drifted(self, settled: Sequence[Organization]) -> tuple[list[str], str]:
        # Also those that somebody has: he may have died, and who still has a lease keeps it.
        if not settled:
            return [], ""
        kube, template = self._worker.hands.kube, self._worker.hands.template
        try:
            lists = await side_by_side([partial(kube.list, kind, selector=SELECTOR) for kind in LISTED_KINDS])
        except HotConfigError as error:
            logger.warning("drift cannot be looked for: %s", error)
            return [], str(error)
        spaces, inside = _by_namespace(lists)
        found: list[str] = []
        for each in settled:
            name = each.namespace or namespace_of(each.slug)
            seen = Observation().after(Look(name), Seen(spaces.get(name), inside[name]))
            if _is_to_be_looked_at(each, seen, template):
                found.append(each.slug)
        return found, ""

    async def _work(self, cycle: _Cycle, named: list[str]) -> None:
        """First what is due, then the named ones, so many at a time."""
        names = iter(named)

        async def one() -> None:
            while await self._next(cycle, None):
                pass
            for slug in names:
                if slug not in cycle.worked:
                    await self._next(cycle, slug)

        await side_by_side([one] * self._side_by_side)

    async def _next(self, cycle: _Cycle, slug: str | None) -> bool:
        """Work on one organization. False: there is none, or it had its turn in this cycle."""
        lease = self._worker.new_lease()
        for organization in await self._worker.rows.lease(lease, slug=slug):
            if organization.slug in cycle.worked:
                await self._worker.rows.release(organization.slug, lease.owner)
                return False
            cycle.worked[organization.slug] = Worked(organization)
            may_delete = organization.slug in cycle.braked.allowed
            resumes = organization.slug in cycle.left_behind
            try:
                cycle.worked[organization.slug] = await self._worker.work(
                    organization, lease, may_delete=may_delete, resumes=resumes
                )
            except LeaseLostError:
                logger.info("organization %s: another worker goes on", organization.slug)
            return True
        return False


def _is_to_be_looked_at(organization: Organization, seen: Observation, template: TenantTemplate) -> bool:
    try:
        decision = decide(organization, seen, template, now=organization.read_at, may_delete=False)
    except TemplateError:  # a round records it as a condition, and when to try again
        return organization.next_attempt_at is None
    return bool(decision.steps) or (decision.progress is not None and _is_news(organization, decision.progress))


def _is_leaving(organization: Organization) -> bool:
    if organization.state is State.PURGING:
        return True
    until = organization.purge_after
    over = until is None or until <= organization.read_at
    return organization.state is State.OFFBOARDING and organization.settled and over


def _is_news(organization: Organization, progress: Progress) -> bool:
    """Whether recording it would say something that is not known yet."""
    known = {(each.kind, each.reason) for each in organization.conditions}
    told = known if progress.conditions is None else {(each.kind, each.reason) for each in progress.conditions}
    moved = progress.namespace_uid not in {None, organization.namespace_uid}
    return progress.state is not None or told != known or moved


def _by_namespace(
    lists: Iterable[tuple[Manifest, ...]],
) -> tuple[dict[str, Manifest], defaultdict[str, list[Manifest]]]:
    spaces: dict[str, Manifest] = {}
    inside: defaultdict[str, list[Manifest]] = defaultdict(list)
    for each in (item for found in lists for item in found):
        if each["kind"] == "Namespace":
            spaces[each["metadata"]["name"]] = each
        else:
            inside[each["metadata"]["namespace"]].append(each)
    return spaces, inside
