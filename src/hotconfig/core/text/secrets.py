"""Which nested fields make a field one that holds secrets: for messages, since no part of it can be stored then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from hotconfig.core.text.survey import survey


def nested_secrets(field: FieldInfo) -> tuple[str, ...]:
    """The nested fields that hold a secret, as ``login.password``. None where the field itself is one."""
    return tuple(dict.fromkeys(_secrets_within(field, ())))


def _secrets_within(field: FieldInfo, above: tuple[type[BaseModel], ...]) -> Iterator[str]:
    for model in _models_of(field.annotation):
        if model in above:
            continue
        for name, inner in model.model_fields.items():
            if survey(inner).secret:
                if any(_models_of(inner.annotation)):
                    yield from (f"{name}.{each}" for each in _secrets_within(inner, (*above, model)))
                else:
                    yield name


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation):
        if issubclass(annotation, RootModel):  # its one field has no name of its own
            yield from _models_of(annotation.model_fields["root"].annotation)
        elif issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models_of(inner)
