"""Carrying out steps: what :mod:`steps` decides becomes calls to Kubernetes, side by side.

Owns which identity makes which call. Decides nothing, and writes no row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import anyio

from hotconfig.provisioner.drift import in_force
from hotconfig.provisioner.errors import (
    KubernetesConflictError,
    KubernetesDeniedError,
    KubernetesExistsError,
    KubernetesNotFoundError,
)
from hotconfig.provisioner.kubernetes.port import KubernetesPort, Manifest, TellingPort
from hotconfig.provisioner.model import Organization
from hotconfig.provisioner.names import group_of
from hotconfig.provisioner.observation import (
    Answer,
    Apply,
    Claim,
    Enforce,
    FillStatus,
    Glance,
    Look,
    ProbeIsolation,
    Remove,
    RemoveNamespace,
    Renew,
    Seen,
    Step,
)
from hotconfig.provisioner.probes import probe_isolation
from hotconfig.provisioner.template import FENCE_KINDS, QUOTA, TenantTemplate, with_status
from hotconfig.provisioner.together import OnSent, side_by_side

INSIDE: Final = (*FENCE_KINDS, "RoleBinding")
CONTROLLER_S: Final = 0.01
"""The controller takes 4 to 43 ms to fill a quota's status. Where a call takes longer than this, it is often first."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Carries out steps for one organization after the other; any number of tasks at once.

    Attributes:
        kube: The provisioner's identity.
        purger: The identity that may delete; None where this program has none.
    """

    kube: KubernetesPort
    purger: KubernetesPort | None
    template: TenantTemplate

    async def carry_out(
        self, organization: Organization, steps: Sequence[Step], learn: Callable[[Step, Answer], None]
    ) -> None:
        """Do all of them, side by side; every one is tried, even if another fails.

        ``learn`` hears of each answer when it comes; it must not raise. What takes two round trips leaves before the
        rest is made ready, since everything waits for it; unless the gate is among the rest, which may be to be shut.

        Raises:
            HotConfigError: one of them failed: the one that time does not heal, if there is such a one.
        """

        async def one(step: Step, on_sent: OnSent | None = None) -> None:
            learn(step, await self._do(organization, step, on_sent))

        longest = self._longest(steps)
        calls = [partial(one, step) for step in steps if step is not longest]
        await side_by_side(calls, ahead=None if longest is None else partial(one, longest))

    def _longest(self, steps: Sequence[Step]) -> Enforce | None:
        """What to begin with; None where the port cannot tell when that has left."""
        touches_gate = any(isinstance(step, Apply) and step.manifest["kind"] == "RoleBinding" for step in steps)
        if touches_gate or not getattr(self.kube, "tells_sent", False):
            return None
        return next((step for step in steps if isinstance(step, Enforce)), None)

    async def look(self, namespace: str) -> Seen:
        """The namespace and all in it that a tenant is made of, in one round trip."""
        reads = [partial(self._namespace, namespace)]
        reads += [partial(self.kube.list, kind, namespace=namespace) for kind in INSIDE]
        spaces, *inside = await side_by_side(reads)
        return Seen(spaces[0], [each for found in inside for each in found]) if spaces else Seen(None)

    async def glance(self, namespace: str) -> Seen:
        """The namespace and its quota, in one round trip."""
        quota = partial(self._found, "ResourceQuota", QUOTA, namespace=namespace)
        spaces, quotas = await side_by_side([partial(self._namespace, namespace), quota])
        return Seen(spaces[0], quotas) if spaces else Seen(None)

    async def renew(self, namespace: Manifest, quota: Manifest) -> Seen | None:
        """Apply both, fenced; None if one of them is not what it was."""
        try:
            space, *inside = await side_by_side(
                [partial(self.kube.apply, deepcopy(each)) for each in (namespace, quota)]
            )
        except (KubernetesConflictError, KubernetesNotFoundError):
            return None
        return Seen(space, inside)

    async def _namespace(self, name: str) -> tuple[Manifest, ...]:
        return await self._found("Namespace", name, namespace=None)

    async def _found(self, kind: str, name: str, *, namespace: str | None) -> tuple[Manifest, ...]:
        try:
            return (await self.kube.get(kind, name, namespace=namespace),)
        except KubernetesNotFoundError:
            return ()

    async def _do(  # noqa: C901, PLR0911 - one for each kind of step
        self, organization: Organization, step: Step, on_sent: OnSent | None = None
    ) -> Answer:
        match step:
            case Look(namespace=namespace):
                return await self.look(namespace)
            case Glance(namespace=namespace):
                return await self.glance(namespace)
            case Renew(namespace=namespace, quota=quota):
                return await self.renew(namespace, quota)
            case Claim(manifest=manifest):
                return await self._claim(manifest)
            case Apply(manifest=manifest):
                return await self.kube.apply(deepcopy(manifest))
            case Enforce(manifest=manifest):
                return await self._enforce(manifest, on_sent)
            case FillStatus(manifest=manifest):
                return await self._fill_status(manifest)
            case Remove(key=key, namespace=namespace, uid=uid):
                await self._delete(key.kind, key.name, namespace, uid)
                return None
            case RemoveNamespace(name=name, uid=uid):
                await self._delete("Namespace", name, None, uid)
                return None
            case ProbeIsolation(namespace=namespace, namespace_uid=uid):
                group = group_of(organization.slug, self.template.role)
                return await probe_isolation(self.kube, namespace, namespace_uid=uid, group=group)

    async def _claim(self, manifest: Manifest) -> Manifest | None:
        try:
            return await self.kube.create(manifest)
        except KubernetesExistsError:
            return None

    async def _enforce(self, manifest: Manifest, on_sent: OnSent | None) -> Manifest:
        begun = anyio.current_time()
        ours = deepcopy(manifest)  # what is wanted is held against what comes back: a port shall not change it
        if on_sent is None:
            quota = await self.kube.apply(ours)
        else:
            quota = await cast("TellingPort", self.kube).apply(ours, on_sent=on_sent)
        if in_force(quota):
            return quota
        filled = with_status(quota)
        if anyio.current_time() - begun > CONTROLLER_S:
            return await self._fill_status(filled)
        written = await self._write_status(filled)
        return await self._read(filled) if _version(written) == _version(filled) else written

    async def _fill_status(self, manifest: Manifest) -> Manifest:
        """In one round trip, also where the controller was first: what it wrote is read while ours is under way."""
        write, read = partial(self._write_status, manifest), partial(self._read, manifest)
        answers = await side_by_side([write, read])
        newer = (each for each in answers if _version(each) != _version(manifest))
        return next(newer, None) or await read()

    async def _write_status(self, manifest: Manifest) -> Manifest:
        try:
            return await self.kube.replace_status(manifest)
        except KubernetesConflictError:  # the controller was first
            return manifest

    async def _read(self, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        return await self.kube.get(manifest["kind"], metadata["name"], namespace=metadata["namespace"])

    async def _delete(self, kind: str, name: str, namespace: str | None, uid: str) -> None:
        if self.purger is None:
            raise KubernetesDeniedError(
                f"deleting {kind} {name} takes the purger's identity: pass purger=, or --purger on the command line",
                verb="delete",
                resource=kind,
            )
        try:
            await self.purger.delete(kind, name, namespace=namespace, uid=uid)
        except KubernetesNotFoundError:
            return


def _version(manifest: Manifest) -> Any:
    return manifest["metadata"]["resourceVersion"]
