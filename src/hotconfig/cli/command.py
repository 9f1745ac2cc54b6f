"""How a function becomes a command: the options that all commands share, and what becomes of errors.

Owns the shared options. Every command gets a :class:`Call` first, and returns an exit code or None for 0.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import typer

from hotconfig.cli.connections import Connections
from hotconfig.cli.exits import OK, code_of
from hotconfig.cli.output import Output
from hotconfig.core.errors import HotConfigError

P = ParamSpec("P")

_PANEL: Final = "Options of every command"
_SHARED: Final = {
    "as_json": (
        Annotated[
            bool,
            typer.Option("--json", help="Print JSON instead of tables; errors too, on stderr.", rich_help_panel=_PANEL),
        ],
        False,
    ),
    "database_url": (
        Annotated[
            str | None,
            typer.Option(
                "--database-url",
                envvar="HOTCONFIG_DATABASE_URL",
                help="PostgreSQL, the truth. A password is better kept in the environment or ~/.pgpass.",
                metavar="URL",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "redis_url": (
        Annotated[
            str | None,
            typer.Option(
                "--redis-url",
                envvar="HOTCONFIG_REDIS_URL",
                help="Redis, the news. Without it nothing is announced.",
                metavar="URL",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "schema": (
        Annotated[
            str,
            typer.Option(
                "--schema",
                envvar="HOTCONFIG_SCHEMA",
                help="The PostgreSQL schema with hotconfig's tables.",
                metavar="NAME",
                rich_help_panel=_PANEL,
            ),
        ],
        "hotconfig",
    ),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command: what it may reach and where it answers."""

    connections: Connections
    out: Output


def command(
    app: typer.Typer, name: str, **settings: Any
) -> Callable[[Callable[Concatenate[Call, P], int | None]], Callable[Concatenate[Call, P], int | None]]:
    """Register a function as the command ``name`` with its own options and the shared ones."""

    def register(function: Callable[Concatenate[Call, P], int | None]) -> Callable[Concatenate[Call, P], int | None]:
        app.command(name, **settings)(_with_shared_options(function))
        return function

    return register


def _with_shared_options(function: Callable[..., int | None]) -> Callable[..., None]:
    def run(*, as_json: bool, database_url: str | None, redis_url: str | None, schema: str, **own: Any) -> None:
        call = Call(Connections(database_url or None, redis_url or None, schema), Output(as_json=as_json))
        raise typer.Exit(_run(call, lambda: function(call, **own)))

    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in _SHARED.items()
    ]
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    return run


def _run(call: Call, function: Callable[[], int | None]) -> int:
    with _logged_as_notes(call):
        try:
            return function() or OK
        except HotConfigError as error:
            call.out.error(type(error).__name__, call.connections.redacted(str(error)))
            return code_of(error)


class _Notes(logging.Handler):
    """What the library logs as a warning is a note of the command."""

    def __init__(self, call: Call) -> None:
        super().__init__(logging.WARNING)
        self._call = call

    def emit(self, record: logging.LogRecord) -> None:
        self._call.out.note(self._call.connections.redacted(record.getMessage()))


@contextmanager
def _logged_as_notes(call: Call) -> Any:
    logger = logging.getLogger("hotconfig")
    handler, propagate = _Notes(call), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
