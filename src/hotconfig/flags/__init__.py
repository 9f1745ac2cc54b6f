"""OpenFeature: the fields of live settings as flags. Needs the extra ``openfeature``."""

from __future__ import annotations

try:
    from hotconfig.flags.provider import HotConfigProvider
except ModuleNotFoundError as _missing:
    if _missing.name is None or _missing.name.partition(".")[0] != "openfeature":
        raise
    _said = "hotconfig.flags needs the OpenFeature SDK: pip install 'hotconfig[openfeature]'"
    raise ModuleNotFoundError(_said) from _missing

__all__ = ["HotConfigProvider"]
