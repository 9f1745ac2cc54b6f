"""The public names of hotconfig as lines of text, read from the source without importing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

PACKAGES: Final = (
    "hotconfig",
    "hotconfig.embedded",
    "hotconfig.flags",
    "hotconfig.provisioner",
    "hotconfig.testing",
    "hotconfig.testing.kubernetes",
)
"""Where public names are imported from; docs/compatibility.md promises the same ones."""

PROTOCOLS: Final = (
    "__enter__",
    "__exit__",
    "__aenter__",
    "__aexit__",
    "__iter__",
    "__aiter__",
    "__anext__",
    "__call__",
)
"""Special methods that a caller relies on by syntax."""


def load(source: Path) -> griffe.Module:
    """The package below ``source``, a directory like ``src``."""
    loaded = griffe.load("hotconfig", search_paths=[source], allow_inspection=False)
    assert isinstance(loaded, griffe.Module)
    return loaded


def public(package: griffe.Module) -> dict[str, griffe.Object]:
    """What can be imported from ``PACKAGES``, by the name that users write."""
    found: dict[str, griffe.Object] = {}
    for path in PACKAGES:
        inner = path.removeprefix("hotconfig").lstrip(".")
        if inner and inner not in _submodules(package):
            continue  # an older state does not have it yet
        module = package[inner] if inner else package
        for name in _exported(module):
            found[f"{path}.{name}"] = _final(module.members[name])
    return found


def lines(package: griffe.Module) -> list[str]:
    """The listing: one line for each name and each public member, so that a diff says what changed."""
    return [line for path, thing in sorted(public(package).items()) for line in _described(path, thing)]


def _submodules(package: griffe.Module) -> set[str]:
    return {module.path.removeprefix("hotconfig.") for module in _walk(package)}


def _walk(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for inner in module.modules.values():
        if isinstance(inner, griffe.Module):
            yield from _walk(inner)


def _exported(module: griffe.Module | griffe.Alias) -> list[str]:
    """``__all__``, or else what the package takes from its own modules to hand it on."""
    if module.exports is not None:
        return sorted(str(name) for name in module.exports)
    return sorted(
        name
        for name, member in module.members.items()
        if isinstance(member, griffe.Alias) and member.target_path.startswith("hotconfig.") and name[0] != "_"
    )


def _final(member: griffe.Object | griffe.Alias) -> griffe.Object:
    return member.final_target if isinstance(member, griffe.Alias) else member


def _described(path: str, thing: griffe.Object) -> Iterator[str]:
    if isinstance(thing, griffe.Class):
        bases = ", ".join(str(base) for base in thing.bases)
        yield f"class {path}({bases})"
        for name, member in sorted(_members(thing).items()):
            yield f"    {_signature(f'{path}.{name}', _final(member))}"
    else:
        yield _signature(path, thing)


def _members(thing: griffe.Class) -> dict[str, griffe.Object | griffe.Alias]:
    """Those that a class shows, also through bases of this package, and how it is made."""
    return {
        name: member
        for name, member in thing.all_members.items()
        if (not name.startswith("_") or name in PROTOCOLS or (name == "__init__" and "dataclass" not in thing.labels))
        and _final(member).path.startswith("hotconfig.")
    }


def _signature(path: str, thing: griffe.Object) -> str:
    if isinstance(thing, griffe.Function):
        words = [word for word in ("async", "classmethod", "staticmethod") if word in thing.labels]
        signature = thing.signature()
        assert isinstance(signature, str)
        return " ".join([*words, f"def {path}{signature.removeprefix(thing.name)}"])
    if isinstance(thing, griffe.Attribute):
        kind = "property " if "property" in thing.labels else ""
        # What is assigned in __init__ only is how it is made; a default or a constant is what users see.
        shown = thing.value is not None and (
            "class-attribute" in thing.labels or "instance-attribute" not in thing.labels
        )
        return f"{kind}{path}: {thing.annotation or 'Final'}{f' = {thing.value}' if shown else ''}"
    return f"{thing.kind.value} {path}"
