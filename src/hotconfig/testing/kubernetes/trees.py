"""JSON as objects come in: looking into it without trusting its shape. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeGuard

Json: TypeAlias = dict[str, Any]


def is_map(value: object) -> TypeGuard[Json]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def part(value: Any, *path: str) -> Json:
    """The map at ``path``; an empty one where there is none."""
    for key in path:
        value = value.get(key) if is_map(value) else None
    return value if is_map(value) else {}


def items(value: Any, *path: str) -> list[Any]:
    """The list at ``path``; an empty one where there is none."""
    found = part(value, *path[:-1]).get(path[-1])
    return found if is_list(found) else []
