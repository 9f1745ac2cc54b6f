"""Merge patch, strategic merge patch and JSON patch, as functions from one object to the next. Pure."""

from __future__ import annotations

import copy
from typing import Any

from hotconfig.testing.kubernetes.schema import Keyed, Node, child, keys_of
from hotconfig.testing.kubernetes.statuses import ApiError
from hotconfig.testing.kubernetes.trees import Json, is_list, is_map


def merge_patch(value: Any, patch: Any) -> Any:
    """RFC 7396: null removes, maps merge, all else replaces."""
    if not is_map(patch):
        return patch
    merged = dict(value) if is_map(value) else {}
    for key, each in patch.items():
        if each is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), each)
    return merged


def strategic_merge(shape: Node, value: Any, patch: Any) -> Any:
    """As a merge patch, but keyed lists merge item by item; understands ``$patch: delete`` and ``$patch: replace``."""
    if isinstance(shape, Keyed) and is_list(patch):
        return _merge_items(shape, value if is_list(value) else [], patch)
    if not is_map(patch):
        return patch
    if patch.get("$patch") == "replace":
        return {key: each for key, each in patch.items() if key != "$patch"}
    merged = dict(value) if is_map(value) else {}
    for key, each in patch.items():
        if each is None:
            merged.pop(key, None)
        elif not key.startswith("$"):
            merged[key] = strategic_merge(child(shape, key, each), merged.get(key), each)
    return merged


def _merge_items(shape: Keyed, items: list[Any], patch: list[Any]) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [item for item in patch if item != {"$patch": "replace"}]
    merged = {keys_of(item, shape.keys): item for item in items}
    for item in patch:
        key = keys_of(item, shape.keys)
        if item.get("$patch") == "delete":
            merged.pop(key, None)
        else:
            merged[key] = strategic_merge(shape.item, merged.get(key), item)
    return list(merged.values())


def json_patch(value: Any, operations: Any) -> Any:
    """RFC 6902. Raises the server's 400 for what is no patch and its 422 for one that does not fit."""
    if not is_list(operations):
        raise ApiError(400, "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document = copy.deepcopy(value)
    for operation in operations:
        try:
            document = _perform(document, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            where = operation.get("path", "") if is_map(operation) else ""
            message = f"the server rejected our request due to an error in our request: {where}"
            raise ApiError(422, message, details={}) from error
    return document


def _perform(document: Any, operation: Json) -> Any:
    name, path = operation["op"], _steps(operation["path"])
    if name == "test":
        if _at(document, path) != operation["value"]:
            raise ValueError(name)
    elif name in {"move", "copy"}:
        source = _steps(operation["from"])
        found = copy.deepcopy(_at(document, source))
        if name == "move":
            _remove(document, source)
        return _put(document, path, found, insert=True)
    elif name == "remove":
        _remove(document, path)
    elif name in {"add", "replace"}:
        if name == "replace":
            _at(document, path)
        return _put(document, path, operation["value"], insert=name == "add")
    else:
        raise ValueError(name)
    return document


def _steps(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError(pointer)
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _at(document: Any, path: list[str]) -> Any:
    for step in path:
        document = document[int(step)] if is_list(document) else document[step]
    return document


def _put(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _at(document, path[:-1]), path[-1]
    if not is_list(parent):
        parent[last] = value
    elif not insert:
        parent[int(last)] = value
    elif last == "-":
        parent.append(value)
    elif 0 <= int(last) <= len(parent):
        parent.insert(int(last), value)
    else:
        raise IndexError(last)
    return document


def _remove(document: Any, path: list[str]) -> None:
    parent = _at(document, path[:-1])
    if is_list(parent):
        parent.pop(int(path[-1]))
    else:
        del parent[path[-1]]
