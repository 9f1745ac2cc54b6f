"""Quantities as Kubernetes writes them: ``500m``, ``20Gi``, ``1e3``. Pure and exact.

Where Kubernetes rounds in silence (finer than a billionth, more than 2^63-1), this refuses: a quota is no place for
surprises. And a text that is no quantity must never be sent, for the API server answers it with 500. Grammar:
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from typing import Final, Literal, Self

from hotconfig.provisioner.errors import InvalidQuantityError

NANOS: Final = 10**9
MAX_VALUE: Final = 2**63 - 1
"""What Kubernetes caps at, without a word."""
MAX_CPU_CORES: Final = 1_000_000
MAX_BYTES: Final = 2**60
"""An exbibyte. More than a cluster has of either is a slip of the hand."""
MAX_TEXT: Final = 64

Form = Literal["decimal", "binary", "exponent"]
Kind = Literal["cpu", "memory", "storage"]

_TEXT: Final = re.compile(
    r"\+?(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[-+]?[0-9]{1,2}))?"
)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_DOWN: Final = sorted(_DECIMAL.items(), key=lambda item: -item[1])
_BINARY_DOWN: Final = sorted(_BINARY.items(), key=lambda item: -item[1])


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """An amount. Compared by what it is, not by how it is written: ``1000m`` is ``1``, ``1Gi`` is ``1024Mi``.

    ``str`` writes it as Kubernetes would. Make one with :meth:`parse`.
    """

    nanos: int
    form: Form = "decimal"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a quantity: digits with at most one point, then a suffix or an exponent; never negative.

        Raises:
            InvalidQuantityError: it is none, or negative, finer than a billionth, or more than 2^63-1.
        """
        return cls(*_parsed(text))

    def __eq__(self, other: object) -> bool:
        return self.nanos == other.nanos if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.nanos < other.nanos if isinstance(other, Quantity) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __str__(self) -> str:
        if self.form == "binary" and self.nanos >= 1024 * NANOS and self.nanos % NANOS == 0:
            return _binary(self.nanos // NANOS)
        return _decimal(self.nanos, exponent=self.form == "exponent")

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"


ZERO: Final = Quantity(0)


def check(kind: Kind, value: Quantity | str | int) -> Quantity:
    """Return ``value`` as a quantity that a quota of ``kind`` may have.

    CPU: up to ``MAX_CPU_CORES``, no finer than a thousandth. Memory and storage: whole bytes, up to ``MAX_BYTES``; so
    ``512m``, half a byte by the book, is refused. Zero is allowed: nothing may be used.

    Raises:
        InvalidQuantityError: it may not.
    """
    try:
        quantity = value if isinstance(value, Quantity) else Quantity.parse(_text(value))
    except InvalidQuantityError as error:
        raise InvalidQuantityError(f"{kind}: {error}") from None
    if kind == "cpu":
        _bounded(kind, quantity, MAX_CPU_CORES, f"{MAX_CPU_CORES:,} cores")
        if quantity.nanos % (NANOS // 1000):
            raise InvalidQuantityError(f"cpu: {quantity} is finer than a thousandth of a core (1m)")
    else:
        _bounded(kind, quantity, MAX_BYTES, "1Ei")
        if quantity.nanos % NANOS:
            raise InvalidQuantityError(f"{kind}: {quantity} is no whole number of bytes. Did you mean M or Mi?")
    return quantity


def same(one: str, other: str) -> bool:
    """Whether two texts of Kubernetes are the same amount. What is no quantity equals nothing but its own text.

    For reading what the API server holds, negative numbers and all: this never raises.
    """
    try:
        return Quantity.parse(one) == Quantity.parse(other)
    except InvalidQuantityError:
        return one == other


@lru_cache(maxsize=1024)  # the same few are read again and again
def _parsed(text: str) -> tuple[int, Form]:
    found = _TEXT.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None or not (found["whole"] or found["part"]):
        raise InvalidQuantityError(_complaint(text))
    suffix = found["suffix"] or ""
    digits = int((found["whole"] or "") + (found["part"] or ""))
    places = len(found["part"] or "")
    if suffix in _BINARY:
        return _nanos(digits * 1024 ** _BINARY[suffix], -places, text), "binary"
    power = int(found["exponent"]) if found["exponent"] else _DECIMAL[suffix]
    return _nanos(digits, power - places, text), "exponent" if found["exponent"] else "decimal"


def _text(value: object) -> str:
    """Whole numbers are taken too, as YAML and JSON have them; neither floats, which are inexact, nor booleans."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise InvalidQuantityError(f"a quantity is a text such as '500m' or '20Gi', not a {type(value).__name__}")


def _bounded(kind: Kind, quantity: Quantity, most: int, shown: str) -> None:
    if quantity.nanos > most * NANOS:
        raise InvalidQuantityError(f"{kind}: {quantity} is more than {shown}, which is the most that is allowed")


def _nanos(digits: int, power: int, text: str) -> int:
    scaled = power + 9
    if scaled >= 0:
        nanos = digits * int(10**scaled)
    else:
        nanos, rest = divmod(digits, 10**-scaled)
        if rest:
            raise InvalidQuantityError(f"{text!r} is finer than a billionth, which Kubernetes would round up")
    if nanos > MAX_VALUE * NANOS:
        raise InvalidQuantityError(f"{text!r} is more than 2^63-1, to which Kubernetes would cut it down")
    return nanos


def _binary(whole: int) -> str:
    for suffix, power in _BINARY_DOWN:
        if whole % 1024**power == 0:
            return f"{whole // 1024**power}{suffix}"
    return str(whole)


def _decimal(nanos: int, *, exponent: bool) -> str:
    """The largest suffix that leaves a whole number, as Kubernetes does it: 1500m, 100k."""
    if nanos == 0:
        return "0"
    for suffix, power in _DECIMAL_DOWN:
        number, rest = divmod(nanos, 10 ** (power + 9))
        if rest == 0:
            return f"{number}e{power}" if exponent and power else f"{number}{suffix}"
    raise AssertionError("a whole number of nanos always divides by one")


def _complaint(text: str) -> str:
    shown = ascii(text[:MAX_TEXT])
    if text.startswith("-"):
        return f"{shown} is negative"
    return (
        f"{shown} is no quantity: write a number, then nothing, m, k, M, G, T or Ki, Mi, Gi, Ti, such as 500m or 20Gi"
    )
