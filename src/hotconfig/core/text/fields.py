"""How one field's text becomes the input that its class validates.

Owns decoding and validating of a single field. All decisions are pydantic-settings' own: a source without
environment variables is asked what it would make of the text. Must not know storage, nor how texts are
written.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WrapValidator,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from hotconfig.core.problems import problems
from hotconfig.core.text.limits import (
    TOO_LARGE,
    PoisonError,
    check_tree,
    is_too_large,
    parse_json,
    refusal,
    text_fault,
)
from hotconfig.core.text.survey import Survey, choices, is_json, is_one_plain_type, parse_scalar

ESCAPE: Final = "!json "
"""Begins a text whose rest is JSON, on fields where one plain text could mean values of several types."""

_VALIDATORS: Final[dict[str, Callable[[Any], object]]] = {
    "before": BeforeValidator, "after": AfterValidator, "wrap": WrapValidator, "plain": PlainValidator,
}  # fmt: skip
_NOT_OF_ONE_FIELD: Final = frozenset[str]().union(
    # Options that concern names, other fields or the class as a whole. The rest decides what a value may be.
    ("title", "alias_generator", "extra", "frozen", "populate_by_name", "validate_by_name"),
    ("validate_by_alias", "loc_by_alias", "json_schema_extra", "model_title_generator"),
    ("field_title_generator", "defer_build", "validate_default", "plugin_settings"),
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What validation made of an input."""

    value: object


@dataclass(frozen=True, slots=True)
class Refused:
    """Why validation refused an input, without the input."""

    reason: str


class _Source(EnvSettingsSource):
    """pydantic-settings' reading of environment values, for one given text. Sees no environment."""

    text: str | None = None

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self.text, field_name, False

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        decoded = super().decode_complex_value(field_name, field, value)
        if decoded is not value:
            check_tree(value, decoded)
        return decoded

    def read(self, text: str) -> object:
        """The validation input for ``text``. Works on a copy: a source is shared between threads."""
        if text == self.env_parse_none_str:
            return None
        one = copy.copy(self)
        one.text = text
        return next(iter(one().values()), None)


class _Probe(_Source):
    """Finds out whether pydantic-settings tries texts of a field as JSON."""

    tried_json = False

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002
        self.tried_json = True
        return value

    def is_complex(self, field: FieldInfo) -> bool:
        # Bytes, which pydantic-settings does not coerce: no users' validator runs here.
        self.prepare_field_value("", field, b"", value_is_complex=False)
        return self.tried_json


@dataclass(frozen=True, slots=True)
class _OneField:
    """As much of a settings class as a source asks for."""

    model_config: ConfigDict
    model_fields: dict[str, FieldInfo]


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a field's texts have to be read."""

    asks_source: bool
    """A text may become something else; only pydantic-settings knows what."""
    escapes: bool
    """:data:`ESCAPE` is recognised."""
    json: bool
    """Pydantic itself parses the text as JSON."""
    checks_number: bool
    """A number in it may be too large for a float."""


def _manner(source: _Source, field: FieldInfo, surveyed: Survey) -> _Manner:
    json = is_json(field)
    complex_ = _Probe(source.settings_cls).is_complex(field)
    asks_none = source.env_parse_none_str is not None
    plain = is_one_plain_type(field) and not surveyed.strict
    by_name = bool(source.env_parse_enums) and not plain
    return _Manner(
        asks_source=complex_ or asks_none or by_name or surveyed.strict or bool(source.config.get("strict")),
        escapes=not (json or (plain and not asks_none) or source.field_is_complex(field)),
        json=json,
        checks_number=surveyed.floats and not complex_,
    )


class FieldReader:
    """Reads one field. Immutable after construction; any thread may use it."""

    __slots__ = ("_choices", "_manner", "_models", "_owner", "_source", "_survey", "decode", "escapes", "key")

    def __init__(self, owner: type[BaseModel], key: str, surveyed: Survey) -> None:
        field = owner.model_fields[key]
        self.key: Final = key
        self._owner = owner
        self._survey = surveyed
        self._models: tuple[type[BaseModel], ...] = ()
        self._source = _Source(cast("type[BaseSettings]", _OneField(owner.model_config, {key: field})))
        self._manner: Final = _manner(self._source, field, surveyed)
        self.escapes: Final = self._manner.escapes
        self._choices = choices(field) if self.escapes else {}
        self.decode: Callable[[str], object] = self._decode_choice if self._choices else self._decoder()

    def _decoder(self) -> Callable[[str], object]:
        """The cheapest way of decoding that gives what pydantic-settings gives."""
        if self._manner.asks_source:
            return self._decode_by_source
        if self.escapes:
            return self._decode_ambiguous
        if self._manner.json:
            return self._decode_json_field
        return self._decode_number if self._manner.checks_number else self._decode_plain

    def validate(self, value: object) -> Accepted | Refused:
        """Validate an input for this field alone, by the class's configuration and field validators.

        A validator that needs the other fields fails here, where they are unknown; it is left out then, and
        has its say when the whole model is validated.
        """
        if self._manner.checks_number and isinstance(value, str) and is_too_large(value):
            return Refused(TOO_LARGE)
        for model in self._validating_models():
            try:
                return self._outcome(model, value)
            except Exception:  # noqa: BLE001, S112  # users' validators may raise anything
                continue
        return Refused("a validator failed on it")

    def _validating_models(self) -> tuple[type[BaseModel], ...]:
        """The field with the class's validators, then without. Made when needed: who only reads never does."""
        if not self._models:  # two threads may both make them; either will do
            field = self._owner.model_fields[self.key]
            validators = list(_validators_of(self._owner, self.key))
            variants: list[list[object]] = [validators, []] if validators else [[]]
            self._models = tuple(_single_field_model(self._owner, self.key, field, one) for one in variants)
        return self._models

    def dump(self, value: object, *, by_alias: bool) -> object:
        """Pydantic's own JSON form of ``value``, for types that only pydantic or the user can serialize.

        Raises:
            ValueError: there is none.
        """
        one = _instance_of(self._owner, {self.key: value})
        try:
            tree = one.model_dump(mode="json", include={self.key}, by_alias=by_alias, round_trip=True, warnings=False)
            return next(iter(tree.values()))
        except Exception as error:  # noqa: BLE001  # users' serializers may raise anything
            kind = type(error).__name__
        raise ValueError(kind)

    def _outcome(self, model: type[BaseModel], value: object) -> Accepted | Refused:
        try:
            one = model.__pydantic_validator__.validate_python({_name_for(self.key): value})
        except ValidationError as error:
            found = problems(error, known=self._survey.names)
            return Refused("; ".join(found.values()))
        return Accepted(getattr(one, _name_for(self.key)))

    def _decode_plain(self, text: str) -> object:
        fault = text_fault(text)
        if fault is not None:
            raise refusal(self.key, fault)
        return text

    def _decode_number(self, text: str) -> object:
        self._decode_plain(text)
        return self._guarded(_checked_number, text)

    def _decode_ambiguous(self, text: str) -> object:
        self._decode_plain(text)
        if text.startswith(ESCAPE):
            return self._guarded(parse_json, text[len(ESCAPE) :])
        return self._guarded(_checked_number, text) if self._manner.checks_number else text

    def _decode_choice(self, text: str) -> object:
        """The number or boolean that it is, if that is a value: pydantic asks for more than its text."""
        value = parse_scalar(text)
        if value is not None and (choice := (isinstance(value, bool), value)) in self._choices:
            return self._choices[choice]
        return self._decoder()(text)

    def _decode_json_field(self, text: str) -> object:
        self._decode_plain(text)
        return self._guarded(_json_kept_as_text, text)

    def _decode_by_source(self, text: str) -> object:
        self._decode_plain(text)
        if self.escapes and text.startswith(ESCAPE):
            return self._guarded(parse_json, text[len(ESCAPE) :])
        if self._manner.checks_number:
            self._guarded(_checked_number, text)
        return self._guarded(self._source.read, text)

    def _guarded(self, read: Callable[[str], object], text: str) -> object:
        try:
            return read(text)
        except PoisonError as error:
            reason = error.reason
        except RecursionError:
            reason = "nested too deeply"
        except ValueError:
            reason = "not valid JSON; lists, dicts and models are written as JSON, for example [1, 2]"
        except Exception:  # noqa: BLE001  # pydantic-settings may run users' validators while it coerces
            reason = "a validator failed on it"
        raise refusal(self.key, reason)


def _checked_number(text: str) -> str:
    if is_too_large(text):
        raise PoisonError(TOO_LARGE)
    return text


def _json_kept_as_text(text: str) -> str:
    """Look for poison in the text of a ``Json[...]`` field, which pydantic parses itself later."""
    try:
        parse_json(text)
    except ValueError:
        return text  # validation says what is wrong with it
    return text


def _validators_of(owner: type[BaseModel], key: str) -> Iterator[object]:
    """The class's ``@field_validator`` functions for the key, as annotations, in order of definition."""
    for name, decorator in owner.__pydantic_decorators__.field_validators.items():
        if key in decorator.info.fields or "*" in decorator.info.fields:
            yield _VALIDATORS[decorator.info.mode](getattr(owner, name))


def _name_for(key: str) -> str:
    """A field may bear a name that BaseModel uses itself; its own class has warned about that already."""
    return "value" if hasattr(BaseModel, key) else key


def _instance_of(owner: type[BaseModel], fields: dict[str, object]) -> BaseModel:
    """An instance with these fields only, for serializing: no default is made, no source is asked."""
    one = owner.__new__(owner)
    object.__setattr__(one, "__dict__", fields)
    object.__setattr__(one, "__pydantic_fields_set__", set(fields))
    object.__setattr__(one, "__pydantic_extra__", None)
    object.__setattr__(one, "__pydantic_private__", None)
    return one


def _default_of(field: FieldInfo) -> dict[str, Any]:
    """The field's default as arguments of ``Field``: a validator may ask for it by ``PydanticUseDefault``."""
    if field.is_required():
        return {}
    factory = field.default_factory
    return {"default": field.default} if factory is None else {"default_factory": factory}


def _single_field_model(
    owner: type[BaseModel], key: str, field: FieldInfo, validators: list[object]
) -> type[BaseModel]:
    """A model of nothing but this field, with the class's configuration."""
    config = {name: item for name, item in owner.model_config.items() if name not in _NOT_OF_ONE_FIELD}
    config.update(protected_namespaces=(), hide_input_in_errors=True)
    marks = [*field.metadata, *validators]
    annotation: Any = field.annotation
    if marks:
        annotation = operator.getitem(cast("Any", Annotated), (annotation, *marks))
    info = Field(discriminator=field.discriminator, **_default_of(field))
    fields: dict[str, Any] = {_name_for(key): (annotation, info)}
    return create_model(owner.__name__, __config__=cast("ConfigDict", config), __module__=owner.__module__, **fields)
