"""What is public, and this project's docstrings as a site can show them. Needs no site builder.

Docstrings are written for those who read the code: with Sphinx's roles, several names before one colon, and drawings
after a double colon. Here they become what Google's style and Markdown have for it. Owns no name and no sentence.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Final

MODULES: Final = (
    "hotconfig",
    "hotconfig.provisioner",
    "hotconfig.provisioner.errors",
    "hotconfig.testing",
    "hotconfig.testing.kubernetes",
    "hotconfig.embedded",
    "hotconfig.flags",
)
"""The modules whose names are public. A name of two of them belongs to the first."""

_ROLE: Final = re.compile(r":(class|meth|func|attr|data|exc|mod):`~?([\w.]+)`")
_DRAWING: Final = re.compile(r"::\n\n")
_NAMES_ALONE: Final = re.compile(r"^( +)((?:[A-Z]\w+Error(?:, )?)+)\.?$", re.MULTILINE)
_SEVERAL: Final = re.compile(r"^( +)([A-Za-z_]\w*(?:, [A-Za-z_]\w*)+): (.+(?:\n\1 +.+)*)$", re.MULTILINE)


def public_names(module: str) -> tuple[str, ...]:
    """Return the public names of a module, in its own order."""
    found = import_module(module)
    names = getattr(found, "__all__", None) or vars(found).get("_HOME", ())
    return tuple(names)


@cache
def home(name: str, near: str = "") -> str | None:
    """Return the module by which a public name is known: the one around ``near`` if it has it, else the first."""
    having = [module for module in MODULES if name in public_names(module)]
    around = [module for module in having if f"{near}.".startswith(f"{module}.")]
    return next(iter([*reversed(around), *having]), None)


def rewritten(text: str, owner: str = "", near: str = "hotconfig") -> str:
    """Return a docstring as Google's style and Markdown want it. ``owner``: its class; ``near``: where it stands."""
    text = _ROLE.sub(lambda role: _reference(role[1], role[2], owner, near), text)
    text = _DRAWING.sub(":\n\n", text)
    text = _NAMES_ALONE.sub(
        lambda line: "\n".join(f"{line[1]}{name}: {_meaning(name, near)}" for name in line[2].split(", ")), text
    )
    return _SEVERAL.sub(lambda line: "\n".join(f"{line[1]}{name}: {line[3]}" for name in line[2].split(", ")), text)


def _meaning(name: str, near: str) -> str:
    """The first sentence of an error's docstring."""
    module = import_module(home(name, near) or "hotconfig.provisioner.errors")
    return f"{' '.join((getattr(module, name).__doc__ or '').split()).partition('. ')[0].rstrip('.')}."


def _reference(role: str, target: str, owner: str, near: str) -> str:
    """A link, if the reference has the name; else the name as code."""
    parts = target.split(".")
    while parts and home(parts[0], near) is None:
        parts = parts[1:]
    if not parts and home(owner, near) is not None and role in {"meth", "attr"}:
        parts = [owner, target]
    if not parts:
        return f"`{target.rpartition('.')[2]}`"
    shown = parts[1:] if parts[0] == owner and len(parts) > 1 else parts
    return f"[`{'.'.join(shown)}`][{home(parts[0], near)}.{'.'.join(parts)}]"
