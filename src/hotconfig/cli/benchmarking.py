"""``hotconfig bench``: registers the benchmark suite; what it measures is not here.

The suite is the top-level package ``benchmarks`` of the checkout. The wheel carries it below ``hotconfig/_suite``, out
of the way of other projects' packages of that name; so it is put on the path here, and only here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from hotconfig.cli.connections import Connections
from hotconfig.cli.exits import OK, code_of
from hotconfig.cli.output import Output
from hotconfig.core.errors import ConfigurationError, HotConfigError, UsageError

_PACKAGE: Final = Path(__file__).parents[1]
_HOMES: Final = (_PACKAGE / "_suite", _PACKAGE.parents[1])
"""Where the package ``benchmarks`` may stand: in an installed wheel, in a checkout."""


class _RunsByDefault(TyperGroup):
    """``bench read`` is ``bench run read``; the sub-commands' names are no figures."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args not in (["--help"], ["-h"]) and (not args or args[0] not in self.commands):
            args = ["run", *args]
        return super().parse_args(ctx, args)


_bench: Final = typer.Typer(
    cls=_RunsByDefault, no_args_is_help=False, add_completion=False, rich_markup_mode="markdown"
)


def add_to(app: typer.Typer) -> None:
    """Register the commands. Their URLs never come from the environment of services: a load is put on them."""
    app.add_typer(_bench, name="bench")


def suite_home() -> Path:
    """The directory that holds the package ``benchmarks``.

    Raises:
        ConfigurationError: this installation has none.
    """
    for home in _HOMES:
        if (home / "benchmarks" / "figures").is_dir():
            return home
    raise ConfigurationError("this installation of hotconfig came without its benchmarks; install the wheel anew")


@_bench.callback()
def _suite() -> None:
    """Measure hotconfig on this machine: every figure beside its floor or a peer, in one run.

    `hotconfig bench [FIGURE]… [OPTIONS]` is short for `hotconfig bench run …`.
    """


@_bench.command("run")
def run(  # noqa: PLR0913, PLR0917 - its parameters are its options
    figures: Annotated[list[str] | None, typer.Argument(metavar="[FIGURE]…", help="Which; all if none.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small samples: a few minutes for everything.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Name the figures and end.")] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 when a bound is not held.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything there, samples included.")
    ] = None,
    report: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Write a report: .md or .html. May be repeated.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the pictures there, as SVG.")] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="HOTCONFIG_BENCH_DATABASE_URL",
            help="A PostgreSQL in place of the embedded one; the schema 'hotconfig_bench' is made there, and dropped.",
        ),
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="HOTCONFIG_BENCH_REDIS_URL", help="A Redis in place of the embedded Valkey."
        ),
    ] = None,
) -> None:
    """Measure, show a table while it works, and keep what came out.

    Exits with 0 also where a bound is not held, except with --gate; with 1 where a figure failed.
    """
    asked = {
        "figures": figures or [],
        "quick": quick,
        "listed": listed,
        "gate": gate,
        "json_file": json_file,
        "reports": report or [],
        "plots": plots,
        "database_url": database_url or None,
        "redis_url": redis_url or None,
    }
    _ask("benchmarks.running", asked, Connections(database_url, redis_url, ""))


@_bench.command("compare")
def compare(
    earlier: Annotated[Path, typer.Argument(metavar="A.json", help="The first run, as --json kept it.")],
    later: Annotated[Path, typer.Argument(metavar="B.json", help="The second run.")],
    fail_above: Annotated[
        float | None,
        typer.Option(metavar="RATIO", help="Exit with 1 where a row is surely slower than so many times the first."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell row by row whether the second run is faster or slower, with 95 % intervals."""
    asked = {"earlier": earlier, "later": later, "fail_above": fail_above, "as_json": as_json}
    _ask("benchmarks.comparing", asked, Connections(None, None, ""))


def _ask(module: str, asked: Mapping[str, Any], connections: Connections) -> None:
    """Call ``main`` of a module of the suite, which answers with an exit code."""
    try:
        code = _main_of(module)(**asked) or OK
    except HotConfigError as error:
        Output(as_json=False).error(type(error).__name__, connections.redacted(str(error)))
        code = code_of(error)
    raise typer.Exit(code)


def _main_of(module: str) -> Callable[..., int | None]:
    home = str(suite_home())
    if home not in sys.path:
        sys.path.insert(0, home)  # processes that the suite spawns inherit it
    try:
        found: Callable[..., int | None] = import_module(module).main
    except ModuleNotFoundError as error:
        raise UsageError(f"the benchmarks need {error.name}: pip install 'hotconfig[demo]'") from error
    return found
