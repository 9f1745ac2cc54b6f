"""What the pages show for a shell, a configuration file or a machine can be read by whoever is to read it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer.main
import yaml

from docs.site.commands import provisioner_parser
from hotconfig.cli import writing
from hotconfig.cli.app import app
from tests.docs.blocks import PAGES, Block, blocks

BLOCKS = [block for page in PAGES for block in blocks(page)]
LANGUAGES = {"", "python", "sql", "bash", "console", "text", "yaml", "json", "toml", "ini", "xml"}
SPANS = {"write", "apply"}
SEPARATORS = {"&&", "||", "|", ";", "&"}


def test_every_block_says_its_language_in_a_word_that_a_test_knows() -> None:
    assert {block.language for block in BLOCKS} <= LANGUAGES


def test_every_mark_above_a_block_is_one_that_a_test_knows() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    marks = re.findall(r"^<!-- (.+?) -->\n```python", text, re.MULTILINE)
    assert marks
    assert [mark for mark in marks if not re.match(r"(not run|needs): \S", mark)] == []


def test_every_command_of_a_shell_block_parses() -> None:
    lines = [(block, words) for block in BLOCKS if block.language in {"bash", "console"} for words in _commands(block)]
    ours = [(block, words) for block, words in lines if words[0] in {"hotconfig", "hotconfig-provisioner"}]
    assert len(ours) > 10
    for block, words in ours:
        try:
            _parse(words)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - typer's errors have no public base
            pytest.fail(f"{block.page}:{block.line}: {shlex.join(words)}: {error}")


def test_every_command_named_in_a_sentence_is_there() -> None:
    prose = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"`hotconfig ([a-z]+)", prose))
    assert len(named) > 8
    assert named - SPANS <= set(_group().commands)


def test_yaml_and_json_are_what_they_say() -> None:
    read: dict[str, Callable[[str], Any]] = {"yaml": lambda text: list(yaml.safe_load_all(text)), "json": json.loads}
    found = [(block, read[block.language](block.text)) for block in BLOCKS if block.language in read]
    assert len(found) > 3
    assert [f"{block.page}:{block.line}" for block, content in found if not content] == []


def _commands(block: Block) -> Iterator[list[str]]:
    """The commands of a block; in one of the kind ``console``, those after a prompt."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue
        words: list[str] = []
        for word in [*shlex.split(line.removeprefix("$ "), comments=True), ";"]:
            if word not in SEPARATORS:
                words.append(word.rpartition(".venv/bin/")[2])
            elif words:
                yield words
                words = []


def _parse(words: list[str]) -> None:
    """Raise what the program would say of its arguments, and run nothing."""
    name, *arguments = words
    if name == "hotconfig-provisioner":
        provisioner_parser().parse_args(arguments)
        return
    command: Any = _group()
    while hasattr(command, "commands"):
        known = arguments[:1] and arguments[0] in command.commands
        command = command.commands[arguments.pop(0) if known else "run"]  # `bench` is `bench run`
    context = command.make_context(name, arguments)
    if words[1] == "set":  # takes any option for a value at first
        writing.parse(context.params["words"], null=context.params["null"])


def _group() -> Any:
    return typer.main.get_command(app)
