"""What those who test against hotconfig may use: public, and never loaded by the SDK itself.

``override`` for settings that differ in one test, ``in_memory`` for a ``HotConfig`` without servers, ``servers`` for
clients on real ones, each in a schema of its own. Names are loaded when first used: pytest imports this package in
every run, for the fixtures in :mod:`hotconfig.testing.plugin`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotconfig.testing.memory.client import MemoryHotConfig as MemoryHotConfig
    from hotconfig.testing.memory.client import in_memory as in_memory
    from hotconfig.testing.memory.pair import Memory as Memory
    from hotconfig.testing.overriding import Override as Override
    from hotconfig.testing.overriding import override as override
    from hotconfig.testing.places import Servers as Servers
    from hotconfig.testing.places import servers as servers

_HOME = {
    "Memory": "memory.pair",
    "MemoryHotConfig": "memory.client",
    "Override": "overriding",
    "Servers": "places",
    "in_memory": "memory.client",
    "override": "overriding",
    "servers": "places",
}

__all__ = ["Memory", "MemoryHotConfig", "Override", "Servers", "in_memory", "override", "servers"]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *globals()]
