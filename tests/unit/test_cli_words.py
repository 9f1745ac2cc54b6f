"""What the words after ``hotconfig set SERVICE`` mean, and what is shown of a value."""

from __future__ import annotations

import pytest
from rich.text import Text

from hotconfig.cli.output import cell, shown
from hotconfig.cli.writing import parse, story
from hotconfig.core.chain import Change
from hotconfig.core.errors import DeclarationError, UsageError


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["threshold", "0.90"], [Change("threshold", "0.90")]),
        (["threshold=0.90"], [Change("threshold", "0.90")]),
        (["a=1", "b=2"], [Change("a", "1"), Change("b", "2")]),
        (["motto="], [Change("motto", "")]),
        (["motto", ""], [Change("motto", "")]),
        (["motto", "a=b"], [Change("motto", "a=b")]),
        (["motto=a=b"], [Change("motto", "a=b")]),
        (["offset", "-0.5"], [Change("offset", "-0.5")]),
        (["offset", "-.5"], [Change("offset", "-.5")]),
        (["dash", "-"], [Change("dash", "-")]),
        (["dash=--x"], [Change("dash", "--x")]),
        (["padded", " x "], [Change("padded", " x ")]),
    ],
)
def test_words_become_changes_with_the_text_as_typed(words: list[str], changes: list[Change]) -> None:
    assert parse(words, null=False) == changes


def test_null_takes_keys_alone() -> None:
    assert parse(["a", "b"], null=True) == [Change("a"), Change("b")]


@pytest.mark.parametrize(
    "words", [["a"], ["a", "b", "c"], ["a=1", "b"], ["a=1", "a=2"], ["a", "--reson"], ["a=1", "-x", "y"]]
)
def test_words_without_a_clear_meaning_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(words, null=False)


@pytest.mark.parametrize("word", ["1a=3", "a b=3", "=3", "a:b=3", "é=3"])
def test_what_cannot_be_a_key_is_refused(word: str) -> None:
    with pytest.raises(DeclarationError):
        parse([word], null=False)


def test_null_with_a_value_is_refused() -> None:
    with pytest.raises(DeclarationError):
        parse(["a=1"], null=True)


def test_terminal_commands_are_shown_as_escapes() -> None:
    assert shown("a\x1b[31mb\nc\u202e") == "a\\x1b[31mb\\nc\\u202e"
    assert shown("größe 日本") == "größe 日本"


def test_null_and_the_empty_text_are_told_apart_from_their_names() -> None:
    null, empty = cell(None), cell("")
    assert isinstance(null, Text)
    assert isinstance(empty, Text)
    assert null.plain == "NULL"
    assert empty.plain == "(empty)"
    assert cell("NULL") == "NULL"


def test_a_long_value_is_cut_in_a_table_and_says_so() -> None:
    assert cell("x" * 5000) == "x" * 200 + "… (5,000 characters)"


@pytest.mark.parametrize(("by", "said"), [("", "1 to 256"), ("x" * 257, "1 to 256"), ("eve\nmallory", "line break")])
def test_whoever_cannot_be_written_into_the_history_is_told_why(by: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        story(by, None)
