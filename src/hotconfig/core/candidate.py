"""Candidates: one freshly validated instance of the whole class, made from texts and what lies below and above them.

Owns the order of precedence. Must not know where the texts or the layers came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from hotconfig.core.declaration import sensitive_keys, service_of
from hotconfig.core.errors import DeclarationError, HotConfigError, InvalidValueError
from hotconfig.core.live import seal
from hotconfig.core.problems import MODEL_KEY
from hotconfig.core.text import TextRules
from hotconfig.core.text.forms import input_path

M = TypeVar("M", bound=BaseModel)
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_COROUTINE: Final = 0x80
"""The flag of a function's code that ``async def`` sets: ``inspect.CO_COROUTINE``."""
_NO_TEXTS: Mapping[str, str | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Layers:
    """What a class's other sources say, captured once: ``low`` gives way to PostgreSQL, ``high`` wins over it."""

    low: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    high: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


class Built(NamedTuple, Generic[M]):
    """What came of the texts: an instance, or the reasons why there is none, by key and without values.

    ``unknown`` are keys that the class does not have: an older or newer program's, ignored and counted. ``replaced``
    are those whose texts were left out, see :meth:`Blueprint.build_without_bad_keys`.
    """

    instance: M | None
    problems: Mapping[str, str]
    unknown: frozenset[str]
    replaced: frozenset[str] = frozenset()


class Blueprint(Generic[M]):
    """How instances of one class are made. Immutable; any thread may build.

    Args:
        settings_class: A marked class.
        layers: What its other sources say.
        pins: Values by key that win over PostgreSQL in this process.

    Raises:
        DeclarationError: the class overrides ``__init__``, which no change could go through, a validator is a
            coroutine function, or instances cannot be referred to weakly.
        UnknownKeyError: a pin names no field.
    """

    def __init__(
        self, settings_class: type[M], layers: Layers | None = None, pins: Mapping[str, Any] | None = None
    ) -> None:
        self.settings_class = settings_class
        self.service: str = service_of(settings_class)
        self.rules: TextRules = TextRules(settings_class)
        self.sensitive: frozenset[str] = sensitive_keys(settings_class)
        self.pins: Mapping[str, Any] = MappingProxyType(dict(pins or {}))
        self._layers = layers or Layers()
        self.keys: frozenset[str] = frozenset(settings_class.model_fields)
        self._keys_by_name = {
            name: key for key, info in settings_class.model_fields.items() for name in _names(key, info)
        }
        config = settings_class.model_config
        self._paths = {key: input_path(key, info, config) for key, info in settings_class.model_fields.items()}
        for key in self.pins:
            self.rules.input_name(key)  # raises for a key that the class does not have
        if _has_own_init(settings_class):
            raise DeclarationError(
                f"{settings_class.__name__} overrides __init__, which is not called when a change arrives: "
                "use validators or model_post_init instead"
            )
        if waiting := _coroutines(settings_class):
            raise DeclarationError(
                f"{settings_class.__name__} has validators that nobody would await: {', '.join(waiting)}. "
                "Validation does not wait: make them ordinary functions, without `async`"
            )
        if not settings_class.__weakrefoffset__:
            raise DeclarationError(
                f"{settings_class.__name__} has __slots__ without '__weakref__': add it there, or leave __slots__ out"
            )

    @property
    def validates_across(self) -> bool:
        """Whether one key's validity may depend on another's."""
        found = self.settings_class.__pydantic_decorators__
        return bool(found.model_validators or found.field_validators or found.validators or found.root_validators)

    def secret_sources(self) -> dict[str, str]:
        """Where each field that holds a secret gets its value, for messages: never from PostgreSQL."""
        return {key: self._secret_source(key) for key in self.rules.secret_keys}

    def _secret_source(self, key: str) -> str:
        if not issubclass(self.settings_class, BaseSettings):
            return "pins= of bind (a BaseSettings class reads the environment, too)"
        config, info = self.settings_class.model_config, self.settings_class.model_fields[key]
        aliases = _names(key, info)[1:]
        name = aliases[0] if aliases else f"{config.get('env_prefix', '')}{key}"
        return f"the environment variable {name if config.get('case_sensitive') else name.upper()}, or a secrets file"

    def json_schema(self) -> dict[str, Any]:
        """What the class accepts, by key, as JSON Schema. Without defaults, which may not be fit to be shown."""
        try:
            schema: dict[str, Any] = self.settings_class.model_json_schema(by_alias=False)
        except PydanticInvalidForJsonSchema:  # a custom type; names are better than nothing
            schema = {"type": "object", "properties": {key: {} for key in sorted(self.keys)}}
        models: list[dict[str, Any]] = [schema, *schema.get("$defs", {}).values()]
        for model in models:
            for described in cast("dict[str, dict[str, Any]]", model.get("properties", {})).values():
                described.pop("default", None)
        for key in self.sensitive & schema.get("properties", {}).keys():
            schema["properties"][key]["x-hotconfig-sensitive"] = True
        return schema

    def build(self, texts: Mapping[str, str | None], above: Mapping[str, str | None] = _NO_TEXTS) -> Built[M]:
        """Validate the whole class on these texts. Never raises for what the texts or users' validators do.

        ``above`` are texts that win over everything: PostgreSQL, the class's other sources and pins.
        """
        found, unknown = self._decode(texts)
        if isinstance(found, _Undecodable):
            rest = self.build({key: text for key, text in texts.items() if key not in found.problems})
            return Built(None, {**rest.problems, **found.problems}, unknown)
        data = self._compose(found)
        if above:
            data = self._laid_over(data, {key: self.rules.decode(key, text) for key, text in above.items()})
        instance = self.settings_class.__new__(self.settings_class)
        try:
            self.settings_class.__pydantic_validator__.validate_python(data, self_instance=instance)
        except ValidationError as error:
            return Built(None, self.rules.problems(error), unknown)
        except BaseException as error:  # users' validators may raise anything: SystemExit, a panic of pydantic's core
            if isinstance(error, KeyboardInterrupt):
                raise
            return Built(None, {MODEL_KEY: f"a validator raised {type(error).__name__}"}, unknown)
        seal(instance)
        return Built(instance, _NOTHING, unknown)

    def build_without_bad_keys(self, texts: Mapping[str, str | None]) -> Built[M]:
        """As :meth:`build`, but keys that do not validate fall back to what lies below them; all, if need be."""
        rest = dict(texts)
        first = built = self.build(rest)
        while built.instance is None and (bad := rest.keys() & built.problems.keys()):
            for key in bad:
                del rest[key]
            built = self.build(rest)
        if built.instance is None:
            rest.clear()
            built = self.build(rest)
        if built.instance is None:
            return Built(None, built.problems, first.unknown)
        replaced = frozenset((texts.keys() - rest.keys()) & self.keys - self.pins.keys())
        return Built(built.instance, first.problems, first.unknown, replaced)

    def _decode(self, texts: Mapping[str, str | None]) -> tuple[dict[str, Any] | _Undecodable, frozenset[str]]:
        decoded: dict[str, Any] = {}
        failed: dict[str, str] = {}
        unknown: set[str] = set()
        for key, text in texts.items():
            if key not in self.keys:
                unknown.add(key)
            elif key not in self.pins:
                try:
                    decoded[key] = self.rules.decode(key, text)
                except InvalidValueError as error:
                    failed[key] = error.problems.get(key, str(error))
                except HotConfigError as error:
                    failed[key] = str(error)
        return (_Undecodable(failed) if failed else decoded), frozenset(unknown)

    def _compose(self, decoded: Mapping[str, Any]) -> dict[str, Any]:
        data = self._laid_over(self._layers.low, decoded)
        if self._layers.high:
            data = merged(self._without_other_names(data, self._layers.high), self._layers.high)
        return self._laid_over(data, self.pins) if self.pins else data

    def _laid_over(self, below: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Whole fields replaced, by whichever of its names a source delivered them."""
        data = {name: value for name, value in below.items() if self._keys_by_name.get(name) not in values}
        for key, value in values.items():
            head, *rest = self._paths[key]
            data[str(head)] = _placed(data.get(str(head)), rest, value) if rest else value
        return data

    def _without_other_names(self, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what ``above`` delivers under another of the field's names, which validation might not look at."""
        covered = {self._keys_by_name.get(name) for name in above} - {None}
        return {n: value for n, value in below.items() if n in above or self._keys_by_name.get(n) not in covered}


@dataclass(frozen=True, slots=True)
class _Undecodable:
    problems: Mapping[str, str]


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``, dicts within dicts too, as pydantic-settings merges its sources."""
    result = dict(below)
    for name, value in above.items():
        under = result.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            result[name] = merged(cast("dict[str, Any]", under), cast("dict[str, Any]", value))
        else:
            result[name] = value
    return result


def _placed(node: object, path: Sequence[str | int], value: object) -> object:
    """A copy of ``node`` with ``value`` at ``path``, and everything beside it as it was.

    A position that a list does not have makes it a dict with integer keys, which pydantic's alias paths follow as well.
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(node, list):
        items = cast("list[object]", node)
        if isinstance(step, int) and -len(items) <= step < len(items):
            copy = list(items)
            copy[step] = _placed(copy[step], rest, value)
            return copy
        node = dict(enumerate(items))
    entries = dict(cast("dict[str | int, object]", node)) if isinstance(node, dict) else {}
    return {**entries, step: _placed(entries.get(step), rest, value)}


def _names(key: str, info: FieldInfo) -> tuple[str, ...]:
    """Every top-level name under which a source may deliver the field."""
    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return (key, *(choice for choice in choices if isinstance(choice, str)))


def _coroutines(settings_class: type[BaseModel]) -> list[str]:
    """Names of the class's validators that are coroutine functions: pydantic takes what they return for the value."""
    found = settings_class.__pydantic_decorators__
    kinds = (found.field_validators, found.validators, found.model_validators, found.root_validators)
    named: list[tuple[str, object]] = [(name, each.func) for kind in kinds for name, each in kind.items()]
    named += [
        (key, getattr(mark, "func", None))
        for key, info in settings_class.model_fields.items()
        for mark in info.metadata
    ]
    named.append(("model_post_init", settings_class.model_post_init))
    return sorted({name for name, function in named if _is_coroutine_function(function)})


def _is_coroutine_function(function: object) -> bool:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & _COROUTINE)


def _has_own_init(settings_class: type[BaseModel]) -> bool:
    for base in settings_class.__mro__:
        if "__init__" in base.__dict__:
            return not base.__module__.startswith(("pydantic.", "pydantic_settings."))
    return False
