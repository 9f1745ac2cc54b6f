"""Semantic comparison of what Kubernetes holds with what is wanted. Pure.

The rules, and why:

- Quantities are compared by amount, labels and annotations as subsets, an absent list is an empty one.
- A NetworkPolicy's rules and selectors, a LimitRange's limits, a RoleBinding's subjects are compared whole: whatever
  somebody added there opens a fence.
- Every key of a quota's ``hard`` is one more limit. A foreign key can only narrow, so it is left and told. ``scopes``
  makes a quota overlook pods: it weakens, and as it cannot be changed the quota has to be replaced.
- What our own field manager set once and does not want any more is a difference; the same from anybody else is
  foreign and left. That is how lifting a cordon is told from a label that an operator put there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from hotconfig.provisioner.quantities import Quantity, same
from hotconfig.provisioner.template import CORDONED, MANAGER, Manifest, part

_POD_SECURITY: Final = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it is wanted, and is to be repaired.

    ``weakens``: tenants could do more than they may. ``replace``: apply cannot repair it, it has to be made anew.
    Values do not appear in ``why``, names do.
    """

    path: str
    why: str
    weakens: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a live object stands to the wanted one. ``foreign``: paths that others set; they are left."""

    differences: tuple[Difference, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether there is nothing to repair."""
        return not self.differences

    @property
    def weakened(self) -> bool:
        """Whether a fence is weaker than it should be."""
        return any(each.weakens for each in self.differences)

    @property
    def why(self) -> str:
        """All differences in a line."""
        return "; ".join(f"{each.path} {each.why}" for each in self.differences)


def compare(wanted: Manifest, live: Manifest | None) -> Comparison:
    """Compare an object with what is wanted. Items of lists may lack ``kind``; it is not looked at. Never raises."""
    kind = wanted["kind"]
    if live is None:
        return Comparison((Difference(kind, "is missing", weakens=kind != "RoleBinding"),))
    found: list[Difference | str] = [*_labels(wanted, live), *_annotations(wanted, live)]
    found += _SPECS[kind](wanted, live)
    differences = tuple(each for each in found if isinstance(each, Difference))
    return Comparison(differences, tuple(each for each in found if isinstance(each, str)))


def in_force(live_quota: Manifest) -> bool:
    """Whether a ResourceQuota enforces what its spec says: ``status.hard`` is ``spec.hard``, by amounts."""
    hard, counted = part(live_quota, "spec", "hard"), part(live_quota, "status", "hard")
    return hard.keys() == counted.keys() and all(same(str(hard[key]), str(counted[key])) for key in hard)


def overused(live_quota: Manifest, wanted_quota: Manifest) -> dict[str, tuple[str, str]]:
    """Where a wanted quota is below what is used: resource → (used, wanted). Kubernetes accepts that silently."""
    used, hard = part(live_quota, "status", "used"), part(wanted_quota, "spec", "hard")
    return {key: (str(used[key]), str(hard[key])) for key in hard if key in used and _more(used[key], hard[key])}


def owned(live: Manifest, *path: str) -> bool:
    """Whether we applied the field, so that an apply without it removes it.

    True if the object does not tell, because managedFields were left out.
    """
    entries = live.get("metadata", {}).get("managedFields")
    if entries is None:
        return True
    ours = [entry for entry in entries if (entry.get("manager"), entry.get("operation")) == (MANAGER, "Apply")]
    return any(_reaches(entry.get("fieldsV1", {}), path) for entry in ours)


def _reaches(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    for name in path:
        if f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True


def _labels(wanted: Manifest, live: Manifest) -> Iterator[Difference | str]:
    want, have = part(wanted, "metadata", "labels"), part(live, "metadata", "labels")
    for label, value in want.items():
        if have.get(label) != value:
            yield Difference(
                f"metadata.labels[{label}]",
                "differs" if label in have else "is missing",
                weakens=label.startswith(_POD_SECURITY) or label == CORDONED,
            )
    for label in have.keys() - want.keys():
        path = f"metadata.labels[{label}]"
        explicitly = live["metadata"].get("managedFields") is not None or label == CORDONED
        if explicitly and owned(live, "metadata", "labels", label):
            yield Difference(path, "is left over")
        else:
            yield path


def _annotations(wanted: Manifest, live: Manifest) -> Iterator[Difference]:
    have = part(live, "metadata", "annotations")
    for name, value in part(wanted, "metadata", "annotations").items():
        if have.get(name) != value:
            yield Difference(f"metadata.annotations[{name}]", "differs" if name in have else "is missing")


def _namespace(_wanted: Manifest, _live: Manifest) -> Iterator[Difference | str]:
    return iter(())


def _quota(wanted: Manifest, live: Manifest) -> Iterator[Difference | str]:
    want, have = part(wanted, "spec", "hard"), part(live, "spec", "hard")
    for key, amount in want.items():
        if key not in have:
            yield Difference(f"spec.hard[{key}]", "is missing", weakens=True)
        elif not same(str(have[key]), amount):
            yield Difference(f"spec.hard[{key}]", "differs", weakens=_more(have[key], amount))
    for key in sorted(have.keys() - want.keys()):
        if key == "pods" and owned(live, "spec", "hard", key):
            yield Difference(f"spec.hard[{key}]", "is left over")
        else:
            yield f"spec.hard[{key}]"
    for name in ("scopes", "scopeSelector"):
        if part(live, "spec").get(name):
            yield Difference(f"spec.{name}", "makes the quota overlook pods", weakens=True, replace=True)


def _limits(wanted: Manifest, live: Manifest) -> Iterator[Difference | str]:
    if not _equal(wanted["spec"]["limits"], part(live, "spec").get("limits") or []):
        yield Difference("spec.limits", "differ")


def _account(wanted: Manifest, live: Manifest) -> Iterator[Difference | str]:
    for name in wanted.keys() - {"apiVersion", "kind", "metadata"}:
        if live.get(name) != wanted[name]:
            yield Difference(name, "differs", weakens=name == "automountServiceAccountToken")
    yield from sorted(name for name in ("secrets", "imagePullSecrets") if live.get(name) and name not in wanted)


def _policy(wanted: Manifest, live: Manifest) -> Iterator[Difference | str]:
    want, have = part(wanted, "spec"), part(live, "spec")
    if (want.get("podSelector") or {}) != (have.get("podSelector") or {}):
        yield Difference("spec.podSelector", "differs", weakens=True)
    types: object = have.get("policyTypes")
    if not isinstance(types, list) or set(want["policyTypes"]) != set(map(str, cast("list[object]", types))):
        yield Difference("spec.policyTypes", "differ", weakens=True)
    for name in ("ingress", "egress"):
        if (want.get(name) or []) == (have.get(name) or []):
            continue
        if name in want or name.capitalize() in want["policyTypes"]:
            yield Difference(f"spec.{name}", "differs", weakens=True)
        else:
            yield f"spec.{name}"  # of no effect: policyTypes does not name it


def _binding(wanted: Manifest, live: Manifest) -> Iterator[Difference | str]:
    if wanted["roleRef"] != live.get("roleRef"):
        yield Difference("roleRef", "differs", weakens=True, replace=True)
    want, have = _subjects(wanted), _subjects(live)
    if want != have:
        yield Difference("subjects", "differ", weakens=bool(have - want))


_SPECS: Final = {
    "Namespace": _namespace,
    "ResourceQuota": _quota,
    "LimitRange": _limits,
    "ServiceAccount": _account,
    "NetworkPolicy": _policy,
    "RoleBinding": _binding,
}


def _subjects(binding: Manifest) -> frozenset[tuple[str, ...]]:
    subjects: Sequence[Manifest] = binding.get("subjects") or []
    names = ("apiGroup", "kind", "namespace", "name")
    return frozenset(tuple(str(subject.get(name, "")) for name in names) for subject in subjects)


def _equal(want: Any, have: Any) -> bool:
    """Equal throughout, texts as quantities where they are some."""
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        one, other = cast("Mapping[str, Any]", want), cast("Mapping[str, Any]", have)
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(want, list) and isinstance(have, list):
        ones, others = cast("Sequence[Any]", want), cast("Sequence[Any]", have)
        return len(ones) == len(others) and all(map(_equal, ones, others))
    return same(want, have) if isinstance(want, str) and isinstance(have, str) else bool(want == have)


def _more(one: object, other: object) -> bool:
    """Whether ``one`` is more than ``other``; what cannot be understood counts as more."""
    try:
        return Quantity.parse(str(one)) > Quantity.parse(str(other))
    except ValueError:
        return True
