"""OpenFeature: the fields of live settings as flags. Needs the extra ``openfeature``."""

from __future__ import annotations

try:
    from hotconfig.flags.provider import HotConfigProvider
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "openfeature":
        raise
    said = "hotconfig.flags needs the OpenFeature SDK: pip install 'hotconfig[openfeature]'"
    raise ModuleNotFoundError(said) from error

__all__ = ["HotConfigProvider"]
