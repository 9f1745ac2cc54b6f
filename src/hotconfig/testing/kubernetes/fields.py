"""Sets of fields, as managedFields writes them down: paths of ``f:name`` and ``k:{"name":"c"}``. Pure.

``leaves`` is what an apply claims; ``compare`` is what an update changed. The two differ about maps: an update that
brings in a map owns the map itself too (``.``), an apply only its entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hotconfig.testing.kubernetes.schema import Amount, Atomic, Keyed, Node, child, keys_of
from hotconfig.testing.kubernetes.trees import is_list, is_map

Path: TypeAlias = tuple[str, ...]
Fields: TypeAlias = frozenset[Path]

NOTHING: Final[Fields] = frozenset()

_UNOWNED: Final = frozenset(
    {
        *(("f:apiVersion",), ("f:kind",), ("f:metadata",)),
        *(
            ("f:metadata", f"f:{name}")
            for name in ("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "managedFields")
        ),
        *(("f:metadata", f"f:{name}") for name in ("creationTimestamp", "deletionTimestamp", "selfLink")),
    }
)

_ALWAYS_THERE: Final = frozenset({("f:metadata",), ("f:spec",), ("f:status",), ("f:spec", "f:containers")})
"""What even an empty object has, so that no update ever adds it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one state has that the other has not."""

    changed: Fields
    """Added or with another value."""
    removed: Fields


def owned(paths: Iterable[Path]) -> Fields:
    return frozenset(path for path in paths if path not in _UNOWNED)


def leaves(shape: Node, value: Any) -> Fields:
    """The fields that an applied ``value`` claims."""
    return owned(_leaves(shape, value, ()))


def _leaves(shape: Node, value: Any, path: Path) -> Iterator[Path]:
    below = list(_children(shape, value))
    if not below or (path and path[-1].startswith("k:")):
        yield path
    for step, inner, each in below:
        yield from _leaves(inner, each, (*path, step))


def _nodes(shape: Node, value: Any, path: Path) -> Iterator[Path]:
    if not isinstance(shape, Keyed):
        yield path
    for step, inner, each in _children(shape, value):
        yield from _nodes(inner, each, (*path, step))


def _children(shape: Node, value: Any) -> Iterator[tuple[str, Node, Any]]:
    if isinstance(shape, (Atomic, Amount)):
        return
    if isinstance(shape, Keyed):
        for item in value if is_list(value) else ():
            yield _key_step(shape.keys, item), shape.item, item
    elif is_map(value):
        for key, each in value.items():
            yield f"f:{key}", child(shape, key, each), each


def _key_step(keys: Sequence[str], item: Any) -> str:
    named = dict(zip(keys, keys_of(item, keys), strict=True)) if is_map(item) else {}
    return "k:" + json.dumps(named, separators=(",", ":"), sort_keys=True)


def compare(shape: Node, old: Any, new: Any) -> Difference:
    """What an update from ``old`` to ``new`` changed and removed."""
    changed: list[Path] = []
    removed: list[Path] = []
    _compare(shape, old, new, (), changed, removed)
    return Difference(owned(path for path in changed if path not in _ALWAYS_THERE), owned(removed))


def _compare(shape: Node, old: Any, new: Any, path: Path, changed: list[Path], removed: list[Path]) -> None:
    before = {step: (inner, each) for step, inner, each in _children(shape, old)}
    after = {step: (inner, each) for step, inner, each in _children(shape, new)}
    if not before and not after:
        if old != new:
            changed.append(path)
        return
    for step, (inner, each) in after.items():
        if step in before:
            _compare(inner, before[step][1], each, (*path, step), changed, removed)
        else:
            changed.extend(_nodes(inner, each, (*path, step)))
    for step, (inner, each) in before.items():
        if step not in after:
            removed.extend(_nodes(inner, each, (*path, step)))


def encode(fields: Fields) -> dict[str, Any]:
    """The set as ``fieldsV1``."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        below = tree
        for step in path:
            below = below.setdefault(step, {})
    for path in fields:
        below = tree
        for step in path:
            below = below[step]
        if below:
            below["."] = {}
    return tree


def decode(tree: dict[str, Any], path: Path = ()) -> Fields:
    """The set that ``fieldsV1`` writes down."""
    found: set[Path] = set()
    for step, below in tree.items():
        if step == ".":
            found.add(path)
        elif below:
            found |= decode(below, (*path, step))
        else:
            found.add((*path, step))
    return frozenset(found)


def shown(path: Path) -> str:
    """``.spec.hard.requests.cpu``, as the messages about conflicts write it."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        else:
            pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(step[2:]).items())
            text += f"[{pairs}]"
    return text


def without(shape: Node, value: Any, paths: Iterable[Path]) -> Any:
    """``value`` without the fields at ``paths``."""
    for path in sorted(paths, key=len, reverse=True):
        value = _without(shape, value, path)
    return value


def _without(shape: Node, value: Any, path: Path) -> Any:
    step, rest = path[0], path[1:]
    if isinstance(shape, Keyed) and is_list(value):
        return [
            item if _key_step(shape.keys, item) != step else _without(shape.item, item, rest)
            for item in value
            if rest or _key_step(shape.keys, item) != step
        ]
    key = step[2:]
    if not is_map(value) or key not in value:
        return value
    if not rest:
        return {name: each for name, each in value.items() if name != key}
    return value | {key: _without(child(shape, key, value[key]), value[key], rest)}


def merge(shape: Node, live: Any, applied: Any) -> Any:
    """``live`` with what ``applied`` states: maps and keyed lists entry by entry, all else whole."""
    if isinstance(shape, Keyed) and is_list(live) and is_list(applied):
        stated = {_key_step(shape.keys, item): item for item in applied}
        kept = [
            merge(shape.item, item, stated.pop(step)) if (step := _key_step(shape.keys, item)) in stated else item
            for item in live
        ]
        return kept + list(stated.values())
    if isinstance(shape, (Atomic, Amount)) or not is_map(live) or not is_map(applied):
        return applied
    return live | {
        key: merge(child(shape, key, each), live[key], each) if key in live else each for key, each in applied.items()
    }
