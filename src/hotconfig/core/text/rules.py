"""Values as the texts that PostgreSQL stores, by pydantic-settings' rules for environment values.

Owns the rule: ``0.90``, ``true``, ``gpt-4o`` stand as they are; lists, dicts and nested models are JSON; SQL
NULL is None. A value is written only if its text reads back as exactly this value. Must not know databases or
messages.

What pydantic-settings reads from an environment variable is what is read here, except:

- SQL NULL is None, and so is the JSON text ``null`` of a list, dict or model, which pydantic-settings takes
  for "not set". The empty text is a value, whatever ``env_ignore_empty`` says.
- ``!json <json>`` is recognised where one text could mean values of several types (unions, ``Any``, enums,
  literals, custom types), so that ``5`` and ``"5"`` can both be stored in ``int | str``. A text of such a
  field that itself begins with ``!json `` is stored by means of it.
- ``2`` and ``true`` are also read for a field of nothing but literals and enums that has the number 2, or True:
  pydantic-settings would hand on the text, which pydantic takes for none of them.
- A key's text is the field's own value also where ``AliasPath`` picks the field out of a larger structure.
- Poison is refused: see :mod:`hotconfig.core.text.limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo

from hotconfig.core.errors import DeclarationError, InvalidValueError, SecretValueError, UnknownKeyError
from hotconfig.core.names import alike
from hotconfig.core.problems import problems
from hotconfig.core.text.fields import ESCAPE, Accepted, FieldReader, Refused
from hotconfig.core.text.forms import (
    NoFormError,
    SecretFoundError,
    input_names,
    input_path,
    json_tree,
    place,
    plain_text,
    to_json,
)
from hotconfig.core.text.limits import POISON, refusal
from hotconfig.core.text.same import same_value
from hotconfig.core.text.secrets import nested_secrets
from hotconfig.core.text.survey import survey

_Form = TypeVar("_Form")

_NOT_STORABLE: Final = (
    "a value of type {type} cannot be stored as text so that it reads back the same; give the field a more "
    "definite type, or a validator that reads it from text"
)

_COPIED: Final = (
    "; model_copy(update=...) does not validate: give each value the type of its field, 2.0 and not 2 for a float"
)


class TextRules:
    """The text rules of one settings class. Immutable after construction; any thread may use it.

    Raises:
        DeclarationError: the class has annotations that cannot be resolved.
    """

    __slots__ = ("_aliases", "_class", "_names", "_paths", "_readers", "secret_keys")

    def __init__(self, settings_class: type[BaseModel]) -> None:
        _complete(settings_class)
        fields = settings_class.model_fields
        surveys = {key: survey(field) for key, field in fields.items()}
        config = settings_class.model_config
        self._class = settings_class
        self.secret_keys: Final = frozenset(key for key, found in surveys.items() if found.secret)
        self._names = frozenset[str]().union(*(found.names for found in surveys.values()))
        self._paths = {key: input_path(key, field, config) for key, field in fields.items()}
        self._aliases = {name: key for key, field in fields.items() for name in input_names(key, field)}
        self._readers = {
            key: FieldReader(settings_class, key, found) for key, found in surveys.items() if not found.secret
        }

    def decode(self, key: str, text: str | None) -> object:
        """The Python input that the class validates for this field. SQL NULL, given as None, is None.

        Raises:
            InvalidValueError: the text is not the JSON that the field needs, or is poison.
            SecretValueError: the field holds a secret.
            UnknownKeyError: there is no such field.
        """
        reader = self._readers.get(key) or self._reader(key)
        return None if text is None else reader.decode(text)

    def encode(self, key: str, value: object) -> str | None:
        """The text that reads back as exactly this value. None is SQL NULL, given as None.

        A ``str`` for a field whose values are no ``str`` is text as a person writes it, and stays as it
        stands.

        Raises:
            InvalidValueError: the value does not fit the field, or no text reads back as this value.
            SecretValueError: the field or the value holds a secret.
            UnknownKeyError: there is no such field.
        """
        reader = self._reader(key)
        try:
            return _encode(reader, value)
        except RecursionError:
            reason = "nested too deeply"
        except SecretFoundError:
            raise _secret_error(key, self._class.model_fields[key]) from None
        raise refusal(key, reason)

    def read(self, key: str, text: str | None) -> object:
        """The value that the field gets from this text: decoded and validated, for this field alone.

        Raises: as :meth:`decode`, and ``InvalidValueError`` if the text does not validate.
        """
        found = self._reader(key).validate(self.decode(key, text))
        if isinstance(found, Refused):
            raise refusal(key, found.reason)
        return found.value

    def input_name(self, key: str) -> str:
        """The name under which validation expects the field.

        That is the preferred string alias if the class validates by alias, else the field's name. For a field
        that only an ``AliasPath`` reaches it is the head of the path; :meth:`inputs` builds what belongs
        below it.
        """
        return str(self._path(key)[0])

    def inputs(self, values: Mapping[str, object]) -> dict[str, object]:
        """Validation's input for the whole class from the inputs (see :meth:`decode`) of single keys."""
        found: dict[str, object] = {}
        for key, value in values.items():
            place(found, self._path(key), value)
        return found

    def problems(self, error: ValidationError) -> dict[str, str]:
        """What is wrong, by key, without values; see :func:`hotconfig.core.problems.problems`."""
        return problems(error, self._aliases, known=self._names)

    def _path(self, key: str) -> tuple[str | int, ...]:
        path = self._paths.get(key)
        if path is None:
            raise self._unknown(key)
        return path

    def _reader(self, key: str) -> FieldReader:
        reader = self._readers.get(key)
        if reader is not None:
            return reader
        if key in self.secret_keys:
            raise _secret_error(key, self._class.model_fields[key])
        raise self._unknown(key)

    def _unknown(self, key: str) -> UnknownKeyError:
        head, dot, inner = str(key).partition(".")
        if dot and head in self._paths:
            update = f'update={{"{inner.partition(".")[0]}": ...}}'
            return UnknownKeyError(
                f"{inner!r} is a part of key {head!r} of {self._class.__name__}, and a key is written as a whole: "
                f"store.set(settings, {head}=settings.{head}.model_copy({update}), by=...)"
            )
        near = alike(key, self._paths)
        guess = f"did you mean {' or '.join(map(repr, near))}? It has" if near else "it has"
        return UnknownKeyError(f"{self._class.__name__} has no key {key!r}; {guess}: {', '.join(self._paths)}")


def _complete(settings_class: type[BaseModel]) -> None:
    try:
        settings_class.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        name = error.name
    else:
        return
    raise DeclarationError(
        f"{settings_class.__name__} refers to {name!r}, which is not defined; define it, then call "
        f"{settings_class.__name__}.model_rebuild()"
    )


def _secret_error(key: str, field: FieldInfo) -> SecretValueError:
    inner = [f"{key}.{name}" for name in nested_secrets(field)]
    return SecretValueError(
        f"key {key!r} holds a secret{' in ' + ', '.join(inner) if inner else ''}, and secrets do not belong into the "
        "database: read it from the environment, a mounted file or a secret store, and keep only a reference to it "
        "(a name, a path) in hotconfig"
        + ("; a nested model is stored as a whole: move the secret into a field of its own" if inner else "")
    )


def _encode(reader: FieldReader, value: object) -> str | None:
    found = reader.validate(value)
    if value is None:
        if isinstance(found, Accepted):
            return None
        raise refusal(reader.key, f"None is not allowed: {found.reason}")
    if type(value) is str and not (isinstance(found, Accepted) and same_value(found.value, value)):
        written = _as_written(reader, value)
        if isinstance(written, str):
            return written
        found = written if isinstance(found, Refused) else found
    return _proven(reader, value, found)


def _as_written(reader: FieldReader, text: str) -> str | Refused:
    """The text itself if the field can be read from it."""
    try:
        found = reader.validate(reader.decode(text))
    except InvalidValueError as error:
        return Refused(error.problems[reader.key])
    return found if isinstance(found, Refused) else text


def _proven(reader: FieldReader, value: object, found: Accepted | Refused) -> str:
    """The first text that reads back as what validation makes of ``value``.

    An input that validation refuses may still be a value of the field: that of ``Json[...]``, or one that a
    validator makes from text. Then its text has to read back as the value itself.
    """
    target = found.value if isinstance(found, Accepted) else value
    sources = [target] if target is value else [target, value]
    tried: set[str] = set()
    for text in (text for source in sources for text in _candidates(reader, source)):
        if text not in tried and _reads_as(reader, text, target):
            return text
        tried.add(text)
    if isinstance(found, Refused):
        raise refusal(reader.key, found.reason)
    reason = _poison(reader, tried) or _NOT_STORABLE.format(type=type(target).__name__)
    raise refusal(reader.key, reason + _COPIED if isinstance(target, BaseModel) else reason)


def _poison(reader: FieldReader, texts: Iterable[str]) -> str | None:
    """What is poisonous in the value, if that is why none of its texts will do."""
    for text in texts:
        try:
            reader.decode(text)
        except InvalidValueError as error:
            reason = error.problems[reader.key]
            if reason in POISON:
                return reason
    return None


def _reads_as(reader: FieldReader, text: str, target: object) -> bool:
    try:
        found = reader.validate(reader.decode(text))
    except InvalidValueError:
        return False
    if isinstance(found, Refused):
        return False
    try:
        return same_value(found.value, target)
    except Exception:  # noqa: BLE001  # a user's own type may raise anything when compared
        return False


def _candidates(reader: FieldReader, value: object) -> Iterator[str]:
    """Texts that might stand for the value, the most readable first."""
    yield from _attempt(lambda: plain_text(value))
    if isinstance(value, Enum) and value.name:  # for classes that read enums by name
        yield value.name
    texts: list[str] = []
    for text in _json_texts(reader, value):
        texts.append(text)
        yield text
    if reader.escapes:
        yield from (ESCAPE + text for text in texts)


def _json_texts(reader: FieldReader, value: object) -> Iterator[str]:
    yield from _attempt(lambda: to_json(json_tree(value)))
    yield from _attempt(lambda: to_json(json_tree(value, bare_nan=True)))
    for by_alias in (True, False):
        for tree in _attempt(partial(reader.dump, value, by_alias=by_alias)):
            if isinstance(tree, str):  # what a user's own serializer writes may be plain text
                yield tree
            yield from _attempt(partial(to_json, tree))


def _attempt(form: Callable[[], _Form]) -> Iterator[_Form]:
    """What ``form`` gives, or nothing: a value has some of the forms, not all."""
    try:
        yield form()
    except (NoFormError, ValueError, TypeError):
        return
