"""The provider: how a field of a live object answers for a flag, and which events tell of it.

Reads live objects as anybody does; knows neither PostgreSQL nor Redis. Has no rules: everybody gets the same value.
OpenFeature's own base class is not used: type checkers do not know it, because its package has no ``__init__.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import FlagNotFoundError, ProviderFatalError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import FeatureProvider, Metadata
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from hotconfig.core.declaration import sensitive_keys, service_of
from hotconfig.core.errors import NotStartedError, UsageError
from hotconfig.core.listeners import Changed
from hotconfig.core.live import snapshot
from hotconfig.core.names import alike
from hotconfig.core.status import State, StateChanged
from hotconfig.core.text import TextRules
from hotconfig.runtime.client import HotConfig

if TYPE_CHECKING:
    from openfeature.flag_evaluation import FlagValueType
    from openfeature.hook import Hook
    from openfeature.track import TrackingEventDetails

V = TypeVar("V")

STALE: Final = "STALE"
"""A reason of the specification, which older SDKs do not list."""
_AS_THEY_ARE: Final = frozenset({bool, int, float, str})
_OLD: Final = frozenset({State.STALE, State.CLOSED})
"""States in which nobody vouches for the values. They stay."""


Emit = Callable[[FeatureProvider, ProviderEvent, ProviderEventDetails], None]


class HotConfigProvider:
    """Answers for flags from live settings, in memory.

    ``api.set_provider_and_wait(HotConfigProvider(client, features))``; with ``set_provider`` alone the SDK gives
    callers their defaults for a moment.

    A flag is named ``<service>.<key>``; where a single live object is given, ``<key>`` is enough. Fields that are
    ``Sensitive`` or hold secrets are no flags, because hooks write values down.

    Asked for a boolean, a field answers that holds a ``bool``; for an integer, an ``int``; for a float, either number;
    for a string, a ``str`` or what JSON writes as one (a URL, a date, a path, a ``Decimal``, an enum of texts); for an
    object, a list, a dict or a model, as a copy in plain JSON types.

    None is no value: the caller's default is returned, with reason ``DEFAULT``. Else the reason is ``STATIC``, or
    ``STALE`` while PostgreSQL does not confirm the values. The evaluation context counts for nothing.

    Any thread may ask; no call waits. Events come on threads of the client. A fork's child keeps the provider, live.

    Args:
        client: A started client. It stays the caller's: ``shutdown`` of the provider does not close it.
        settings: What its ``bind`` returned, one or several.

    Raises:
        UsageError: none was given.
        NotBoundError: one is not a live object.
    """

    def __init__(self, client: HotConfig, *settings: BaseModel) -> None:
        if not settings:
            raise UsageError("a provider needs live settings: HotConfigProvider(client, client.bind(Features))")
        self._client = client
        self._settings = settings
        self._flags = {name: flag for each in settings for name, flag in _flags(each, alone=len(settings) == 1)}
        self._is_old = False
        self._ends: list[Callable[[], None]] = []
        self._emit: Emit | None = None

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(name="hotconfig")

    def get_provider_hooks(self) -> list[Hook]:
        """It has none."""
        return []

    def attach(self, on_emit: Emit) -> None:
        """Tell events to ``on_emit``. The SDK calls it."""
        self._emit = on_emit

    def detach(self) -> None:
        """Tell them nobody any more. The SDK calls it."""
        self._emit = None

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Begin to tell of changes. The SDK calls it.

        Raises:
            ProviderFatalError: the client was closed.
        """
        self.shutdown()
        try:
            self._ends = [self._client.on_state(self._moved)]
            self._ends += [self._client.on_change(each, self._changed) for each in self._settings]
        except NotStartedError as error:
            self.shutdown()
            raise ProviderFatalError(
                f"the HotConfig is closed: make the provider from a started one ({error})"
            ) from error
        self._is_old = self._client.status().state in _OLD

    def shutdown(self) -> None:
        """Tell of nothing any more. The SDK calls it. The client goes on."""
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A field whose value is a ``bool``. FlagNotFoundError, TypeMismatchError."""
        return self._resolve(flag_key, default_value, "boolean", lambda value: type(value) is bool)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A field whose value is a text, or is written as one. Errors as :meth:`resolve_boolean_details`."""
        return self._resolve(flag_key, default_value, "string", lambda value: isinstance(value, str))

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A field whose value is an ``int``. Errors as :meth:`resolve_boolean_details`."""
        return self._resolve(flag_key, default_value, "integer", lambda value: type(value) is int)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A field whose value is a number. Errors as :meth:`resolve_boolean_details`."""
        found = self._resolve(flag_key, default_value, "float", lambda value: type(value) in {float, int})
        found.value = float(found.value)
        return found

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """A field whose value is a list, a dict or a model. Errors as :meth:`resolve_boolean_details`."""
        return self._resolve(flag_key, default_value, "object", lambda value: isinstance(value, list | dict))

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """As :meth:`resolve_boolean_details`: there is nothing to wait for."""
        return self.resolve_boolean_details(flag_key, default_value)

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """As :meth:`resolve_string_details`."""
        return self.resolve_string_details(flag_key, default_value)

    async def resolve_integer_details_async(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """As :meth:`resolve_integer_details`."""
        return self.resolve_integer_details(flag_key, default_value)

    async def resolve_float_details_async(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """As :meth:`resolve_float_details`."""
        return self.resolve_float_details(flag_key, default_value)

    async def resolve_object_details_async(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """As :meth:`resolve_object_details`."""
        return self.resolve_object_details(flag_key, default_value)

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Nothing is tracked."""

    def _resolve(
        self, flag_key: str, default_value: V, asked: str, fits: Callable[[object], bool]
    ) -> FlagResolutionDetails[V]:
        flag = self._flags.get(flag_key)
        if flag is None:
            meant = "".join(f"; did you mean {name!r}?" for name in alike(flag_key, self._flags)[:1])
            raise FlagNotFoundError(f"no bound settings have a flag {flag_key!r}{meant}")
        settings, key = flag
        value = _plain(flag_key, getattr(settings, key))
        if value is None:
            return FlagResolutionDetails(default_value, reason=Reason.DEFAULT)
        if not fits(value):
            raise TypeMismatchError(f"flag {flag_key!r} was asked for as {asked} and holds {type(value).__name__}")
        reason = STALE if self._is_old else Reason.STATIC
        return FlagResolutionDetails(cast("V", value), reason=reason)

    # events, on threads of the client

    def _changed(self, change: Changed[Any]) -> None:
        names = [
            name for name, (settings, key) in self._flags.items() if key in change.keys and _is_of(settings, change)
        ]
        if names:
            metadata: dict[str, bool | str | int | float] = {"service": change.service, "revision": change.revision}
            details = ProviderEventDetails(sorted(names), metadata=metadata)
            self._tell(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, details)

    def _moved(self, change: StateChanged) -> None:
        was_old, self._is_old = self._is_old, change.new in _OLD
        if self._is_old and not was_old:
            said = f"hotconfig is {change.new.value}: the values stay" + (
                f"; {change.last_error}" if change.last_error else ""
            )
            self._tell(ProviderEvent.PROVIDER_STALE, ProviderEventDetails(message=said))
        elif was_old and not self._is_old:
            self._tell(ProviderEvent.PROVIDER_READY, ProviderEventDetails())

    def _tell(self, event: ProviderEvent, details: ProviderEventDetails) -> None:
        emit = self._emit
        if emit is not None:
            emit(self, event, details)


def _flags(settings: BaseModel, *, alone: bool) -> list[tuple[str, tuple[BaseModel, str]]]:
    """The names of the fields that are flags, with what they lead to."""
    kind = type(snapshot(settings))  # raises for what is no live object
    service = service_of(kind)
    hidden = sensitive_keys(kind) | TextRules(kind).secret_keys
    keys = [key for key in kind.model_fields if key not in hidden]
    names = [(f"{service}.{key}", key) for key in keys] + ([(key, key) for key in keys] if alone else [])
    return [(name, (settings, key)) for name, key in names]


def _is_of(settings: BaseModel, change: Changed[Any]) -> bool:
    return service_of(type(settings)) == change.service


def _plain(flag_key: str, value: object) -> object:
    if type(value) in _AS_THEY_ARE:
        return value
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError) as error:
        raise TypeMismatchError(f"flag {flag_key!r} holds {type(value).__name__}, which JSON cannot write") from error
