"""Inputs: poison by hand, and random mutations of genuine bytes, texts and JSON trees."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final, cast

POISON_TEXTS: Final = (
    "", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "\u2028", "\x1b[31m", "a\nb", "\r\n", "*",
    "a:b:k", "config:ai:*", "@commits", "../..", "${PATH}", "%s%n", "{0.__class__}", "'; DROP TABLE heads; --",
    "nan", "NaN", "-inf", "Infinity", "1e400", "-1e400", "1e-400", "9" * 400, "9" * 5000, "-" + "9" * 5000, "1_000",
    "0x10", "01", "١٢", "²", "true", "null", "None", "!json", "!json ", "!json 1", "!json [", "!json NaN",
    "[" * 10_000, "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 200 + "]" * 200,
    '"\\u0000"', '["\\ud800"]', '{"\\u0000": 1}', "[1e400]", "[NaN]", '{"a": 1, "a": 2}', "[" + "1," * 5000 + "1]",
    "9999-12-31T23:59:60Z", "P1Y", "1e308s", "::1", "999.1.1.1", "http://[", "http://a\tb", "\x7f", "é" * 300,
    "x" * 70_000, "🙂" * 500,
)  # fmt: skip
POISON_BYTES: Final = (
    b"", b"\0", b"\xff\xfe\x00", "5".encode("utf-16"), b"\xed\xa0\x80", b"\xc0\x80", b"\xf5", b"[" * 100_000,
    b"hotconfig1", b"hotconfig1 1 ", b"hotconfig1 1 00 {}", b"hotconfig1 2 " + b"0" * 64 + b" {}", b" " * 300,
    b"hotconfig1 -1 0 0", b"hotconfig1 \xd9\xa1 0 0", b"x" * 300_000,
)  # fmt: skip
POISON_VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 1.5, float("nan"), float("inf"), "", "\0", "ai",
    "a:b", "00" * 32, "zz", "ff" * 33, [], {}, [[]], ["a"], ["a", None], ["a", "1", "deleted"], ["a", "1", "x"],
    "deleted",
    ["low", "1"], ["low", None, "withheld"], [1, "00" * 32], [None], {"a": {"b": []}}, "9" * 5000, "x" * 3000,
)  # fmt: skip


def text(rng: Random, genuine: tuple[str, ...]) -> str:
    """Poison, a mutated genuine text, or characters from anywhere."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(POISON_TEXTS)
    if kind < 6:
        return _mutated_text(rng, rng.choice(genuine))
    return "".join(_character(rng) for _ in range(rng.randrange(12)))


def data(rng: Random, genuine: tuple[bytes, ...]) -> bytes:
    """Poison, a mutated genuine message, or any bytes."""
    kind = rng.randrange(16)
    if kind == 0:
        return rng.choice(POISON_BYTES)
    if kind == 1:
        return rng.randbytes(rng.randrange(60))
    result = bytearray(rng.choice(genuine))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(_BYTE_MUTATIONS)(rng, result)
    return bytes(result)


def tree(rng: Random, genuine: object) -> object:
    """A copy of a JSON tree with something in it replaced, dropped, doubled or added."""
    result = json.loads(json.dumps(genuine))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        result = _mutated_tree(rng, result)
    return result


def packed(rng: Random, value: object) -> bytes:
    """JSON bytes of a tree; now and then damaged on the way."""
    raw = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return data(rng, (raw,)) if rng.random() < 0.2 else raw


def pieces(rng: Random, whole: bytes) -> list[bytes]:
    """The same bytes in any pieces."""
    if rng.random() < 0.5:
        return [whole]
    cuts = sorted(rng.randrange(len(whole) + 1) for _ in range(rng.randrange(1, 6)))
    return [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def _character(rng: Random) -> str:
    plane = rng.randrange(4)
    return chr(rng.randrange((0x80, 0x800, 0x1_0000, 0x11_0000)[plane]))


def _mutated_text(rng: Random, whole: str) -> str:
    at = rng.randrange(len(whole) + 1)
    match rng.randrange(5):
        case 0:
            return whole[:at] + _character(rng) + whole[at:]
        case 1:
            return whole[:at] + whole[at + 1 :]
        case 2:
            return whole[:at] + rng.choice(POISON_TEXTS)[:40] + whole[at:]
        case 3:
            return whole[:at] * 2 + whole[at:]
        case _:
            return whole


_INSERTS: Final = (
    b"\r\n", b"9", b"-", b"*1\r\n", b"$5\r\n", b" ", b'"', b"[", b"\\ud800", b"\\u0000", b"1e999",
)  # fmt: skip


def _flip(rng: Random, whole: bytearray) -> None:
    if whole:
        whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)


def _replace(rng: Random, whole: bytearray) -> None:
    if whole:
        whole[rng.randrange(len(whole))] = rng.choice(b'\0\r\n $*:+-"\\[]{},0919\xff')


def _drop(rng: Random, whole: bytearray) -> None:
    at = rng.randrange(len(whole) + 1)
    del whole[at : at + rng.choice((1, 1, 2, 16))]


def _insert(rng: Random, whole: bytearray) -> None:
    at = rng.randrange(len(whole) + 1)
    whole[at:at] = rng.choice(
        (b"\r\n", b"9", b"-", b"*1\r\n", b"$5\r\n", b" ", b'"', b"[", b"\\ud800", b"\\u0000", b"1e999")
    )


def _cut(rng: Random, whole: bytearray) -> None:
    del whole[rng.randrange(len(whole) + 1) :]


def _double(rng: Random, whole: bytearray) -> None:
    begin = rng.randrange(len(whole) + 1)
    whole[begin:begin] = whole[begin : begin + rng.randrange(1, 40)]


_BYTE_MUTATIONS: Final[tuple[Callable[[Random, bytearray], None], ...]] = (
    _flip, _replace, _drop, _insert, _cut, _double,
)  # fmt: skip


def _mutated_tree(rng: Random, node: object) -> object:
    if isinstance(node, dict) and node and rng.random() < 0.9:
        return _mutated_entries(rng, cast("dict[str, object]", node))
    if isinstance(node, list) and node and rng.random() < 0.7:
        return _mutated_items(rng, cast("list[object]", node))
    if isinstance(node, str) and rng.random() < 0.3:
        return _mutated_text(rng, node)
    if type(node) is int and rng.random() < 0.5:
        return node + rng.choice((-1, 1, 2**62, -(2**64)))
    return rng.choice(POISON_VALUES)


def _mutated_items(rng: Random, items: list[object]) -> object:
    at = rng.randrange(len(items))
    match rng.randrange(4):
        case 0:
            return items[:at] + items[at + 1 :]
        case 1:
            return [*items, items[at]]
        case _:
            return [*items[:at], _mutated_tree(rng, items[at]), *items[at + 1 :]]


def _mutated_entries(rng: Random, entries: dict[str, object]) -> object:
    name = rng.choice(list(entries))
    match rng.randrange(8):
        case 0:
            return {key: value for key, value in entries.items() if key != name}
        case 1:
            return {**entries, rng.choice(POISON_TEXTS)[:50]: rng.choice(POISON_VALUES)}
        case _:
            return {**entries, name: _mutated_tree(rng, entries[name])}
