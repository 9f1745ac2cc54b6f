"""Who owns which field: server-side apply and the book-keeping of every other write. Pure.

The rules are those of structured-merge-diff: an apply owns exactly what it states and removes what it no longer states
unless somebody else owns it too; another owner of a field that it would change is a conflict, which force resolves by
taking the field. Every other write takes what it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from hotconfig.testing.kubernetes import fields as sets
from hotconfig.testing.kubernetes.fields import NOTHING, Fields
from hotconfig.testing.kubernetes.schema import Node
from hotconfig.testing.kubernetes.statuses import ApiError
from hotconfig.testing.kubernetes.trees import Json


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """A manager in one of its roles."""

    operation: str
    """``Apply`` or ``Update``; Apply comes first."""
    manager: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an owner owns, and since when it last changed."""

    fields: Fields
    time: str


Claims: TypeAlias = dict[Owner, Claim]


def read(entries: list[Json] | None) -> Claims:
    """The claims in an object's ``managedFields``."""
    return {
        Owner(entry["operation"], entry["manager"], entry["apiVersion"], entry.get("subresource", "")): Claim(
            sets.decode(entry["fieldsV1"]), entry["time"]
        )
        for entry in entries or ()
    }


def written(claims: Mapping[Owner, Claim]) -> list[Json]:
    """``managedFields``: applies first, then by time, then by manager. Who owns nothing is not listed."""
    found = sorted(claims.items(), key=lambda item: (item[0].operation, item[1].time, item[0]))
    return [_entry(owner, claim) for owner, claim in found if claim.fields]


def _entry(owner: Owner, claim: Claim) -> Json:
    entry: Json = {"manager": owner.manager, "operation": owner.operation, "apiVersion": owner.api_version}
    entry |= {"time": claim.time, "fieldsType": "FieldsV1", "fieldsV1": sets.encode(claim.fields)}
    if owner.subresource:
        entry["subresource"] = owner.subresource
    return entry


def update(shape: Node, live: Any, new: Any, claims: Claims, owner: Owner, *, time: str) -> Claims:
    """The claims after ``owner`` wrote ``new`` over ``live`` by anything but apply."""
    difference = sets.compare(shape, live, new)
    touched = difference.changed | difference.removed
    if not touched:
        return claims
    after = {each: Claim(claim.fields - touched, claim.time) for each, claim in claims.items()}
    mine = claims[owner].fields if owner in claims else NOTHING
    after[owner] = Claim((mine | difference.changed) - difference.removed, time)
    return after


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply makes of an object."""

    value: Any
    claims: Claims


def apply(shape: Node, live: Any, stated: Json, claims: Claims, owner: Owner, *, force: bool, time: str) -> Applied:
    """Apply ``stated`` over ``live``. Raises the 409 that names every conflict, unless ``force``."""
    fields = sets.leaves(shape, stated)
    others = {each: claim for each, claim in claims.items() if each != owner}
    before = claims[owner].fields if owner in claims else NOTHING
    unclaimed = before - fields - frozenset[sets.Path]().union(*(claim.fields for claim in others.values()))
    merged = sets.without(shape, sets.merge(shape, live, stated), unclaimed)
    difference = sets.compare(shape, live, merged)
    conflicts = {each: taken for each, claim in others.items() if (taken := claim.fields & difference.changed)}
    if conflicts and not force:
        raise conflict(conflicts)
    lost = difference.changed | difference.removed
    after = {each: Claim(claim.fields - lost, claim.time) for each, claim in others.items()}
    after[owner] = Claim(fields, claims[owner].time if fields == before else time)
    return Applied(merged, after)


def conflict(conflicts: Mapping[Owner, Fields]) -> ApiError:
    """The 409 of an apply without force: by manager, and field by field."""
    causes: list[Json] = []
    text = ""
    for owner in sorted(conflicts, key=lambda each: each.manager):
        with_whom = f'"{owner.manager}"{_with_subresource(owner)} using {owner.api_version}'
        text += f"\nconflicts with {with_whom}:" if text else f"conflicts with {with_whom}:"
        for path in sorted(conflicts[owner]):
            text += f"\n- {sets.shown(path)}"
            causes.append(
                {"reason": "FieldManagerConflict", "message": f"conflict with {with_whom}", "field": sets.shown(path)}
            )
    message = f"Apply failed with {len(causes)} conflict{'s' if len(causes) > 1 else ''}: "
    if len(causes) == 1:
        text = f"{causes[0]['message']}: {causes[0]['field']}"
    return ApiError(409, message + text, details={"causes": causes})


def _with_subresource(owner: Owner) -> str:
    return f' with subresource "{owner.subresource}"' if owner.subresource else ""
