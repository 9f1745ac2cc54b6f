"""What there is to do in Kubernetes, and what was seen there. Pure.

Owns the kinds of steps, how each is answered, and the growing knowledge of one round. Does not decide anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hotconfig.provisioner.drift import compare
from hotconfig.provisioner.model import IsolationReceipt, Organization
from hotconfig.provisioner.template import QUOTA, Desired, Key, Manifest, TenantTemplate, key_of


@dataclass(frozen=True, slots=True)
class Look:
    """GET the namespace and LIST every kind in it, without a selector. Answer: :class:`Seen`."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Glance:
    """GET the namespace and its quota, and nothing else. Answer: :class:`Seen` with those two."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Renew:
    """``apply`` the namespace and its quota side by side, each fenced by its UID: what answers is what was seen before.

    Answer: :class:`Seen` with those two; None if one of them is gone or another.
    """

    namespace: Manifest
    quota: Manifest


@dataclass(frozen=True, slots=True)
class Claim:
    """``create`` the namespace. Answer: the object; None on ``KubernetesExistsError``, whoever has it."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Apply:
    """``apply`` the object. Answer: the object as the server returned it."""

    manifest: Manifest
    why: str = ""


@dataclass(frozen=True, slots=True)
class Enforce:
    """``apply`` the quota; unless it is in force then, ``replace_status`` of it, while the fences are still being made.

    Answer: the object as the last of the two returned it.
    """

    manifest: Manifest
    why: str = ""


@dataclass(frozen=True, slots=True)
class FillStatus:
    """``replace_status`` of the quota, ``get`` beside it. Answer: the object; if another was first, what was read."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Remove:
    """``delete`` an object with the purger's identity. Answer: None; also if it was not there any more."""

    key: Key
    namespace: str
    uid: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class RemoveNamespace:
    """``delete`` the namespace with the purger's identity. Answer: None; then look again."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ProbeIsolation:
    """Make the isolation probes as the tenant. Answer: an ``IsolationReceipt`` for this namespace."""

    namespace: str
    namespace_uid: str


STATUS: Final = Key("ResourceQuota", "status")
"""Under which the writing of quota status is counted."""

Step = Look | Glance | Renew | Claim | Apply | Enforce | FillStatus | Remove | RemoveNamespace | ProbeIsolation


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer to :class:`Look`. ``namespace`` None: there is none. Objects need ``kind``."""

    namespace: Manifest | None
    objects: Sequence[Manifest] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """The UIDs of a namespace and of the quota in it, from a round before. They may be outdated: fence with them."""

    namespace_uid: str
    quota_uid: str


Answer = Manifest | Seen | IsolationReceipt | None


@dataclass(slots=True)
class Draft:
    """What an organization should have, drawn once for all decisions about one reading of it.

    ``complaint``: why its quota cannot be understood.
    """

    organization: Organization | None = None
    template: TenantTemplate | None = None
    drawn: Desired | None = None
    complaint: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of one organization in Kubernetes in this round. Nothing, to begin with.

    ``attempts`` counts how often each object was applied, so that what apply cannot repair ends the round. ``partial``:
    only the namespace and its quota were looked at. ``known``: what a round before saw. ``standing``: what was applied,
    where the answer showed that nothing is left to repair; looked at while other answers are still awaited.
    """

    looked: bool = False
    partial: bool = False
    known: Known | None = None
    namespace: Manifest | None = None
    objects: Mapping[Key, Manifest] | None = None
    receipt: IsolationReceipt | None = None
    claims: int = 0
    attempts: Mapping[Key, int] = field(default_factory=dict[Key, int])
    standing: Mapping[Key, Manifest] = field(default_factory=dict[Key, Manifest])
    draft: Draft = field(default_factory=Draft, compare=False, repr=False)

    def after(self, step: Step, answer: Answer) -> Observation:  # noqa: PLR0911 - one for each kind of answer
        """What is known after ``step`` was answered with ``answer``, as the step's docstring says.

        Raises:
            TypeError: such a step is not answered like that.
        """
        match step, answer:
            case Look() | Glance() | Renew(), Seen():
                objects = {key_of(each): each for each in answer.objects}
                partial = not isinstance(step, Look)
                seen = replace(self, looked=True, partial=partial, namespace=answer.namespace, objects=objects)
                return replace(seen, standing={})
            case Renew(), None:
                return replace(self, known=None)
            case Claim(), None:
                return replace(self, looked=False, claims=self.claims + 1)
            case ProbeIsolation(), IsolationReceipt():
                return replace(self, receipt=answer)
            case Remove(key=key), None:
                return replace(self, objects=_without(self.objects or {}, key), standing=_without(self.standing, key))
            case RemoveNamespace(), None:
                return Observation()
            case _:
                pass
        if isinstance(step, Claim | Apply | Enforce | FillStatus) and isinstance(answer, Mapping):
            return self._with(step, answer)
        raise TypeError(f"{type(step).__name__} is not answered with {type(answer).__name__}")

    def uids(self) -> Known | None:
        """For a later round: the UIDs of the namespace and its quota, where both were seen."""
        quota = (self.objects or {}).get(Key("ResourceQuota", QUOTA))
        if self.namespace is None or quota is None:
            return None
        return Known(self.namespace["metadata"]["uid"], quota["metadata"]["uid"])

    def _with(self, step: Claim | Apply | Enforce | FillStatus, live: Manifest) -> Observation:
        if isinstance(step, Claim):
            return replace(self, looked=True, namespace=live, objects={}, standing={}, claims=self.claims + 1)
        key = key_of(step.manifest)
        counted = STATUS if isinstance(step, FillStatus) else key
        standing = _without(self.standing, key)
        if not isinstance(step, FillStatus) and compare(step.manifest, live).same:
            standing[key] = step.manifest
        seen = replace(self, attempts={**self.attempts, counted: self.attempts.get(counted, 0) + 1}, standing=standing)
        if key.kind == "Namespace":
            return replace(seen, namespace=live)
        return replace(seen, objects={**(self.objects or {}), key: live})

    def stands(self, manifest: Manifest) -> bool:
        """Whether exactly this was applied in this round, and nothing is left to repair."""
        return self.standing.get(key_of(manifest)) == manifest


def _without(objects: Mapping[Key, Manifest], key: Key) -> dict[Key, Manifest]:
    return {each: found for each, found in objects.items() if each != key}
