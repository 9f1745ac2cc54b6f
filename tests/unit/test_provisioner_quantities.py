"""Quantities: read, compared and written as Kubernetes does, and refused where it would round in silence."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hotconfig.provisioner.errors import InvalidQuantityError
from hotconfig.provisioner.quantities import MAX_VALUE, NANOS, Form, Kind, Quantity, check, same

quantities = st.builds(
    Quantity,
    st.one_of(
        st.integers(0, MAX_VALUE * NANOS),
        st.integers(0, MAX_VALUE).map(lambda whole: whole * NANOS),
        st.integers(0, 2**40).map(lambda kibi: min(kibi * 1024, MAX_VALUE) * NANOS),
    ),
    st.sampled_from(["decimal", "binary", "exponent"]),
)


@settings(deadline=None)
@given(quantities)
@example(Quantity(5000 * NANOS, "binary"))
def test_writing_and_reading_back_is_the_identity(quantity: Quantity) -> None:
    text = str(quantity)
    assert Quantity.parse(text) == quantity
    settled = str(Quantity.parse(text))
    assert str(Quantity.parse(settled)) == settled
    # What no binary suffix fits is written without one, and then read as decimal: 5000 of either kind is 5k.
    assert settled == text or (quantity.form == "binary" and text.isdigit())


@settings(deadline=None)
@given(quantities, quantities)
def test_order_is_that_of_the_amounts(one: Quantity, other: Quantity) -> None:
    assert (one < other) == (one.nanos < other.nanos)
    assert (one == other) == (one.nanos == other.nanos)
    assert one != other or hash(one) == hash(other)


SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


@settings(deadline=None)
@given(
    st.integers(0, 10**6), st.integers(0, 999), st.sampled_from([*SUFFIXES, *BINARY, "e3", "E3", "e-2", "e+1", "e0"])
)
def test_any_number_with_any_suffix_is_what_arithmetic_says(whole: int, part: int, suffix: str) -> None:
    number = Fraction(whole) + Fraction(part, 1000)
    if suffix in BINARY:
        amount = number * 1024 ** BINARY[suffix]
    else:
        power = SUFFIXES[suffix] if suffix in SUFFIXES else int(suffix[1:])
        amount = number * Fraction(10) ** power
    text = f"{whole}.{part:03}{suffix}"
    if amount > MAX_VALUE or (amount * NANOS).denominator != 1:
        with pytest.raises(InvalidQuantityError):
            Quantity.parse(text)
    else:
        assert Fraction(Quantity.parse(text).nanos, NANOS) == amount


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1000m", "1"),
        ("1Gi", "1024Mi"),
        ("1024Mi", "1073741824"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1e3", "1k"),
        ("1E3", "1k"),
        ("1E", "1e18"),
        ("+2", "2"),
        ("0", "0Gi"),
        ("1.5Gi", "1536Mi"),
        ("007", "7"),
        ("1000000u", "1"),
        ("1000000000n", "1"),
    ],
)
def test_the_same_amount_written_otherwise_is_equal(one: str, other: str) -> None:
    assert Quantity.parse(one) == Quantity.parse(other)
    assert same(one, other)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1000Mi", "1000Mi"),
        ("0.5Gi", "512Mi"),
        ("512.0", "512"),
        ("1000", "1k"),
        ("100000", "100k"),
        ("1e3", "1e3"),
        ("1000e0", "1e3"),
        ("0Gi", "0"),
        ("0.3Ki", "307200m"),
        ("10", "10"),
        ("20Gi", "20Gi"),
    ],
)
def test_the_canonical_text_is_that_of_kubernetes(text: str, canonical: str) -> None:
    assert str(Quantity.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1 ", " 1", "1\n", ".", "+", "-", "m", "Gi", "ten", "1gi", "1KI", "1ki", "1K", "1b", "1GiB", "1 Gi"),
        *("-1", "-0", "-1Gi", "--1", "NaN", "nan", "inf", "Infinity", "1e", "1e1.5", "1.2.3", "1e999", "1_000", "1,5"),
        *(
            "0x10",
            "\u0661",
            "\uff11",
            "1²",
            "½",
            "1\u200b",
            "1Gi\x00",
            "1n1",
            "1mm",
            "9" * 65,
            "8Ei",
            "10E",
            "9223372036854775808",
        ),
        *("0.1n", "1e-10", "0.0000000001"),
    ],
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuantityError):
        Quantity.parse(text)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_exactly_or_refused(text: str) -> None:
    try:
        quantity = Quantity.parse(text)
    except InvalidQuantityError:
        assert same(text, text)
        return
    assert text.isascii()
    assert 0 <= quantity.nanos <= MAX_VALUE * NANOS


@pytest.mark.parametrize("number", [1, 10, 0])
def test_whole_numbers_are_quantities_too(number: int) -> None:
    assert check("cpu", number).nanos == number * NANOS


@pytest.mark.parametrize("value", [1.5, True, None, b"1", float("nan"), [1]])
def test_other_things_are_not(value: object) -> None:
    with pytest.raises(InvalidQuantityError):
        check("cpu", value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("cpu", "1000001", "more than 1,000,000 cores"),
        ("cpu", "0.0001", "finer than a thousandth"),
        ("cpu", "1u", "finer than a thousandth"),
        ("memory", "512m", "Did you mean M or Mi"),
        ("storage", "0.5", "no whole number of bytes"),
        ("memory", "1025Pi", "more than 1Ei"),
        ("storage", "-5Gi", "negative"),
    ],
)
def test_what_no_quota_should_have_is_refused(kind: Kind, text: str, why: str) -> None:
    with pytest.raises(InvalidQuantityError, match=why):
        check(kind, text)


@pytest.mark.parametrize("form", ["decimal", "binary", "exponent"])
def test_how_it_is_written_does_not_matter_to_equality(form: Form) -> None:
    assert Quantity(1024 * NANOS, form) == Quantity.parse("1Ki")
    assert Quantity.parse("1") != "1"
