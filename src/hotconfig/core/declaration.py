"""The decorator that marks a settings class, and reading the mark back. Does no I/O and starts nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel

from hotconfig.core.errors import DeclarationError
from hotconfig.core.live import guard
from hotconfig.core.names import check_key, check_service

S = TypeVar("S", bound=BaseModel)

_MARK: Final = "__hotconfig_service__"


@dataclass(frozen=True, slots=True)
class Sensitive:
    """Marks a field whose changes are announced without the value: ``token_hint: Annotated[str, Sensitive()]``.

    Readers fetch such a value from PostgreSQL. It is not for secrets, which do not belong there at all.
    """


if TYPE_CHECKING:

    def settings(*, service: str) -> Callable[[type[S]], type[S]]: ...

else:

    def settings(misused: object = None, /, *, service: str | None = None) -> Callable[[type[S]], type[S]]:
        """Mark a pydantic class as the settings of one service. Returns the same class.

        Works on ``BaseSettings`` and ``BaseModel``. The class itself stays what it was: instances that you make are
        ordinary ones and need no server. Each field is a key; its name must be an ASCII identifier.

        Args:
            service: The name below which values are stored and announced (``config:<service>:<key>``).

        Raises:
            DeclarationError: no or an impossible service name, a field name that cannot be a key, or not a
                pydantic class.
        """
        if service is None:
            named = getattr(misused, "__name__", "the class")
            raise DeclarationError(f'{named} needs a service: write @hotconfig.settings(service="...") above it')
        check_service(service)

        def mark(settings_class: type[S]) -> type[S]:
            if not (isinstance(settings_class, type) and issubclass(settings_class, BaseModel)):
                raise DeclarationError(
                    f"{settings_class!r} is not a pydantic class: derive it from BaseSettings or BaseModel"
                )
            for name in settings_class.model_fields:
                _check_field_name(settings_class, name)
            setattr(settings_class, _MARK, service)
            guard(settings_class)
            return settings_class

        return mark


def service_of(settings_class: type[BaseModel]) -> str:
    """The service that a class was marked with, by itself or by a base.

    Raises:
        DeclarationError: it was not marked.
    """
    service = getattr(settings_class, _MARK, None)
    if isinstance(service, str):
        return service
    name = getattr(settings_class, "__name__", repr(settings_class))
    raise DeclarationError(f'{name} has no service: write @hotconfig.settings(service="...") above the class')


def sensitive_keys(settings_class: type[BaseModel]) -> frozenset[str]:
    """The keys whose values are not announced."""
    return frozenset(
        name
        for name, field in settings_class.model_fields.items()
        if any(isinstance(mark, Sensitive) for mark in (*field.metadata, *_inner_metadata(field.annotation)))
    )


def _inner_metadata(annotation: Any) -> tuple[Any, ...]:
    """Marks one level down, as in ``Annotated[str, Sensitive()] | None``."""
    found: list[Any] = []
    for inner in get_args(annotation):
        if get_origin(inner) is Annotated:
            found += get_args(inner)[1:]
    return tuple(found)


def _check_field_name(settings_class: type[BaseModel], name: str) -> None:
    try:
        check_key(name)
    except DeclarationError as error:
        raise DeclarationError(f"{settings_class.__name__}: field {error}") from None
