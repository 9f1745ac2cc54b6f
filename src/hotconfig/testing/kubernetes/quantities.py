"""Quantities as Kubernetes reads, compares and prints them. Pure.

Written apart from the provisioner's own, so that a mistake in one is not a mistake in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

PATTERN: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)((?:[eE][+-]?\d+)|[numkMGTPE]|[KMGTPE]i|)", re.ASCII)
REFUSAL: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


class QuantityError(ValueError):
    """The text is no quantity; the message is the server's."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value, and the family of suffixes it was written in: ``decimal``, ``binary`` or ``exponent``."""

    value: Fraction
    family: str = "decimal"

    def __str__(self) -> str:
        if self.family == "binary" and abs(self.value) >= 1024:
            return _binary(self.value)
        return _decimal(self.value, exponent=self.family == "exponent")


def parse(written: object) -> Quantity:
    """The quantity that ``written`` (text or a JSON number) stands for. Raises QuantityError."""
    text = str(written) if isinstance(written, (int, float)) and not isinstance(written, bool) else written
    found = PATTERN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise QuantityError(REFUSAL)
    sign, digits, suffix = found.groups()
    number = Fraction(digits.removesuffix("."))
    if suffix in _BINARY:
        value, family = number * 2 ** _BINARY[suffix], "binary"
    elif suffix in _DECIMAL:
        value, family = number * Fraction(10) ** _DECIMAL[suffix], "decimal"
    else:
        value, family = number * Fraction(10) ** max(-1000, min(1000, int(suffix[1:]))), "exponent"
    return Quantity(-value if sign == "-" else value, family)


def canonical(written: object) -> str:
    """``1000m`` is ``1``, ``1024Mi`` is ``1Gi``, ``0.5`` is ``500m``."""
    return str(parse(written))


def _binary(value: Fraction) -> str:
    whole, power = ceil(value), 0
    while whole % 1024 == 0 and power < 60:
        whole, power = whole // 1024, power + 10
    return f"{whole}{next((suffix for suffix, at in _BINARY.items() if at == power), '')}"


def _decimal(value: Fraction, *, exponent: bool) -> str:
    nanos = ceil(abs(value) * 10**9)
    if nanos == 0:
        return "0"
    power = -9
    while nanos % 1000 == 0 and power < 18:
        nanos, power = nanos // 1000, power + 3
    sign = "-" if value < 0 else ""
    if exponent:
        return f"{sign}{nanos}e{power}" if power else f"{sign}{nanos}"
    return f"{sign}{nanos}{next(suffix for suffix, at in _DECIMAL.items() if at == power)}"
