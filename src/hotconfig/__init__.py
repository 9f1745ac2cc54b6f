"""hotconfig: typed configuration that changes while your services run.

Everything public is here. Names are loaded when first used, so that ``import hotconfig`` costs next to nothing and
pulls in no driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotconfig.core.declaration import Sensitive as Sensitive
    from hotconfig.core.declaration import settings as settings
    from hotconfig.core.errors import AccessDeniedError as AccessDeniedError
    from hotconfig.core.errors import ConfigurationError as ConfigurationError
    from hotconfig.core.errors import ConflictError as ConflictError
    from hotconfig.core.errors import DatabaseUnavailableError as DatabaseUnavailableError
    from hotconfig.core.errors import DeclarationError as DeclarationError
    from hotconfig.core.errors import EmbeddedServerError as EmbeddedServerError
    from hotconfig.core.errors import HotConfigError as HotConfigError
    from hotconfig.core.errors import InvalidStateError as InvalidStateError
    from hotconfig.core.errors import InvalidValueError as InvalidValueError
    from hotconfig.core.errors import LastKnownGoodError as LastKnownGoodError
    from hotconfig.core.errors import NotBoundError as NotBoundError
    from hotconfig.core.errors import NotStartedError as NotStartedError
    from hotconfig.core.errors import OutcomeUnknownError as OutcomeUnknownError
    from hotconfig.core.errors import ReadOnlySettingsError as ReadOnlySettingsError
    from hotconfig.core.errors import RedisUnavailableError as RedisUnavailableError
    from hotconfig.core.errors import RetryableError as RetryableError
    from hotconfig.core.errors import SchemaMissingError as SchemaMissingError
    from hotconfig.core.errors import SecretValueError as SecretValueError
    from hotconfig.core.errors import UnknownKeyError as UnknownKeyError
    from hotconfig.core.errors import UsageError as UsageError
    from hotconfig.core.errors import WaitTimeoutError as WaitTimeoutError
    from hotconfig.core.listeners import Changed as Changed
    from hotconfig.core.live import snapshot as snapshot
    from hotconfig.core.status import Origin as Origin
    from hotconfig.core.status import ServiceStatus as ServiceStatus
    from hotconfig.core.status import State as State
    from hotconfig.core.status import StateChanged as StateChanged
    from hotconfig.core.status import Status as Status
    from hotconfig.runtime.aio import AsyncFace as AsyncFace
    from hotconfig.runtime.aio import AsyncStore as AsyncStore
    from hotconfig.runtime.aio import ChangeStream as ChangeStream
    from hotconfig.runtime.aio import StateStream as StateStream
    from hotconfig.runtime.client import HotConfig as HotConfig
    from hotconfig.runtime.publishing import Commit as Commit
    from hotconfig.runtime.store import Store as Store
    from hotconfig.runtime.timing import Timing as Timing
    from hotconfig.sources import HotConfigSource as HotConfigSource

_HOME = {
    "Sensitive": "core.declaration",
    "settings": "core.declaration",
    "AccessDeniedError": "core.errors",
    "ConfigurationError": "core.errors",
    "ConflictError": "core.errors",
    "DatabaseUnavailableError": "core.errors",
    "DeclarationError": "core.errors",
    "EmbeddedServerError": "core.errors",
    "HotConfigError": "core.errors",
    "InvalidStateError": "core.errors",
    "InvalidValueError": "core.errors",
    "LastKnownGoodError": "core.errors",
    "NotBoundError": "core.errors",
    "NotStartedError": "core.errors",
    "OutcomeUnknownError": "core.errors",
    "ReadOnlySettingsError": "core.errors",
    "RedisUnavailableError": "core.errors",
    "RetryableError": "core.errors",
    "SchemaMissingError": "core.errors",
    "SecretValueError": "core.errors",
    "UnknownKeyError": "core.errors",
    "UsageError": "core.errors",
    "WaitTimeoutError": "core.errors",
    "Changed": "core.listeners",
    "snapshot": "core.live",
    "Origin": "core.status",
    "ServiceStatus": "core.status",
    "State": "core.status",
    "StateChanged": "core.status",
    "Status": "core.status",
    "AsyncFace": "runtime.aio",
    "AsyncStore": "runtime.aio",
    "ChangeStream": "runtime.aio",
    "StateStream": "runtime.aio",
    "HotConfig": "runtime.client",
    "Commit": "runtime.publishing",
    "Store": "runtime.store",
    "Timing": "runtime.timing",
    "HotConfigSource": "sources",
}

__all__ = [
    "AccessDeniedError",
    "AsyncFace",
    "AsyncStore",
    "ChangeStream",
    "Changed",
    "Commit",
    "ConfigurationError",
    "ConflictError",
    "DatabaseUnavailableError",
    "DeclarationError",
    "EmbeddedServerError",
    "HotConfig",
    "HotConfigError",
    "HotConfigSource",
    "InvalidStateError",
    "InvalidValueError",
    "LastKnownGoodError",
    "NotBoundError",
    "NotStartedError",
    "Origin",
    "OutcomeUnknownError",
    "ReadOnlySettingsError",
    "RedisUnavailableError",
    "RetryableError",
    "SchemaMissingError",
    "SecretValueError",
    "Sensitive",
    "ServiceStatus",
    "State",
    "StateChanged",
    "StateStream",
    "Status",
    "Store",
    "Timing",
    "UnknownKeyError",
    "UsageError",
    "WaitTimeoutError",
    "settings",
    "snapshot",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *globals()]
