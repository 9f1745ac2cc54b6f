"""Makes docs/cli-reference.md from the programs themselves. Knows typer and argparse, and no command.

What depends on who asks (the environment's values, the user's name) is left out, so that the page is the same
everywhere.
"""

from __future__ import annotations

import argparse
import inspect
import os
from collections.abc import Iterable, Iterator
from typing import Any, Final
from unittest import mock

import typer.main

from docs.site.staging import ROOT
from hotconfig.cli.app import app
from hotconfig.provisioner import command

Row = tuple[str, str, str, str]
"""An option or argument: its name, what it means, its default, and the variable that stands for it."""

SHARED: Final = "Options of every command"
PAGE: Final = ROOT / "docs" / "cli-reference.md"
_INTRODUCTION: Final = """\
# Every command and option

Made from the programs by `python -m docs.site commands`; a test says when it is out of date. What the commands are for,
their exit codes and what stands in the environment: [the command line](cli.md), [the
provisioner](provisioner.md#on-the-command-line).
"""


def page() -> str:
    """Return the page's text."""
    return "\n".join([_INTRODUCTION, *_hotconfig(), *_provisioner()])


def provisioner_parser() -> argparse.ArgumentParser:
    """Return the parser of ``hotconfig-provisioner``, made as in an empty environment."""
    caught: list[argparse.ArgumentParser] = []

    def catch(parser: argparse.ArgumentParser, *_: object) -> None:
        caught.append(parser)
        raise StopIteration

    with (
        mock.patch.dict(os.environ, {}, clear=True),
        mock.patch.object(argparse.ArgumentParser, "parse_args", catch),
    ):
        try:
            command.run(["list"])
        except StopIteration:
            return caught[0]
    raise RuntimeError("hotconfig-provisioner did not parse its arguments")


def _hotconfig() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    yield f"## hotconfig\n\n{inspect.cleandoc(group.help)}\n"
    commands = list(_commands(group))
    shared = {
        option.opts[0]: _typer_row(option) for _, each in commands for option in each.params if _is_shared(option)
    }
    without = [f"`hotconfig {name}`" for name, each in commands if not any(map(_is_shared, each.params))]
    yield f"### {SHARED}\n\nOf all but {', '.join(without)}.\n"
    yield from _table(shared.values())
    for name, each in commands:
        words = [_argument(argument) for argument in each.params if argument.param_type_name == "argument"]
        yield f"### hotconfig {name}\n\n```text\n{' '.join(['hotconfig', name, *words, '[OPTIONS]'])}\n```\n"
        yield f"{inspect.cleandoc(each.help)}\n"
        yield from _table(_typer_row(option) for option in each.params if not _is_shared(option))


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The commands by name, those of groups with the group's name before them."""
    for name, each in sorted(group.commands.items()):
        if getattr(each, "invoke_without_command", True):  # a group that does something by itself, or a command
            yield prefix + name, each
        if hasattr(each, "commands"):
            yield from _commands(each, f"{prefix}{name} ")


def _is_shared(option: Any) -> bool:
    return getattr(option, "rich_help_panel", None) == SHARED


def _argument(argument: Any) -> str:
    named = argument.metavar or argument.name.upper()
    return named if argument.required or named.startswith("[") else f"[{named}]"


def _typer_row(option: Any) -> Row:
    if option.param_type_name == "argument":
        return _argument(option), option.help or "", "", ""
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    default = "" if option.is_flag or shown is None else str(shown)
    return "/".join(option.opts) + value, option.help or "", default, str(option.envvar or "")


def _provisioner() -> Iterator[str]:
    parser = provisioner_parser()
    yield f"## hotconfig-provisioner\n\n{parser.description}\n\nBefore the command:\n"
    yield from _table(_argparse_row(action) for action in _actions(parser))
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    helps = {each.dest: each.help for each in commands._choices_actions}
    for name, each in sorted(commands.choices.items()):
        actions = list(_actions(each))
        needed = [_argparse_row(action)[0] for action in actions if action.required]
        options = ["[OPTIONS]"] if len(needed) < len(actions) else []
        usage = " ".join([name, *needed, *options])
        yield f"### hotconfig-provisioner {name}\n\n```text\nhotconfig-provisioner {usage}\n```\n"
        if words := each.description or helps.get(name):
            yield f"{words[0].upper()}{words[1:].rstrip('.')}.\n"
        yield from _table(_argparse_row(action) for action in actions)


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    left_out = (argparse._HelpAction, argparse._SubParsersAction, argparse._VersionAction)
    return (action for action in parser._actions if not isinstance(action, left_out))


def _argparse_row(action: argparse.Action) -> Row:
    name = "/".join(action.option_strings) or str(action.metavar or action.dest).upper()
    if action.option_strings and action.nargs != 0:
        name += f" {action.metavar or '|'.join(map(str, action.choices or ())) or action.dest.upper()}"
    shown = action.default not in (None, False, argparse.SUPPRESS) and not action.required and action.dest != "by"
    required = "needed" if action.required and action.option_strings else ""
    told = "; ".join(
        part for part in (required, (action.help or "").replace("%(default)s", str(action.default))) if part
    )
    return name, told, str(action.default) if shown else "", ""


def _table(rows: Iterable[Row]) -> Iterator[str]:
    """A table of what is there: a column that is empty throughout is left out."""
    table = list(rows)
    if not table:
        return
    titles = ("", "meaning", "default", "environment")
    kept = [column for column in range(4) if any(row[column] for row in table)]
    yield f"| {' | '.join(titles[column] for column in kept)} |"
    yield f"|{'---|' * len(kept)}"
    for row in table:
        cells = [_cell(row[column], code=column != 1) for column in kept]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _cell(text: str, *, code: bool) -> str:
    escaped = " ".join(text.split()).replace("|", "\\|")
    return f"`{escaped}`" if code and escaped else escaped
