"""Names of tenants: what they may be, and what is said about those that may not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotconfig.provisioner.errors import InvalidNameError
from hotconfig.provisioner.names import MAX_SLUG, check_slug, group_of, namespace_of

DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@pytest.mark.parametrize("slug", ["acme", "a", "1", "123", "a-b", "a--b", "x" * 59, "cube", "organization"])
def test_good_names_are_taken_as_they_are(slug: str) -> None:
    assert check_slug(slug) == slug


@pytest.mark.parametrize(
    ("slug", "why"),
    [
        ("", "needs a name"),
        (None, "needs a name"),
        (7, "needs a name"),
        ("x" * 60, "60 characters, 59 are allowed"),
        ("Acme", "use a-z"),
        ("a_b", "use a-z"),
        ("a.b", "use a-z"),
        ("-a", "beginning and ending"),
        ("a-", "beginning and ending"),
        ("a b", "use a-z"),
        ("acme\n", "use a-z"),
        ("a/../b", "use a-z"),
        ("\u0430cme", r"CYRILLIC SMALL LETTER A \(U\+0430\)"),
        ("\uff46oo", "FULLWIDTH LATIN SMALL LETTER F"),
        ("acme\u200b", "ZERO WIDTH SPACE"),
        ("١٢٣", "ARABIC-INDIC DIGIT ONE"),
        ("default", "reserved"),
        ("kube-system", "reserved"),
        ("kubernetes", "reserved"),
        ("openshift-x", "reserved"),
        ("hotconfig", "reserved"),
    ],
)
def test_bad_names_are_refused_with_the_reason(slug: object, why: str) -> None:
    with pytest.raises(InvalidNameError, match=why):
        check_slug(slug)


@settings(deadline=None)
@given(st.text(max_size=70))
def test_whatever_is_taken_makes_a_namespace_that_kubernetes_takes(text: str) -> None:
    try:
        slug = check_slug(text)
    except InvalidNameError as error:
        assert str(error).isascii()  # noqa: PT017 - what is said of any text must be safe to print anywhere
        return
    assert DNS_1123.fullmatch(namespace_of(slug))
    assert len(slug) <= MAX_SLUG
    assert not namespace_of(slug).startswith(("kube", "openshift", "default"))


@settings(deadline=None)
@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,57}[a-z0-9])?", fullmatch=True))
def test_names_by_the_rule_are_refused_only_if_they_are_reserved(slug: str) -> None:
    try:
        assert check_slug(slug) == slug
    except InvalidNameError as error:
        assert "reserved" in str(error)  # noqa: PT017


def test_a_group_is_made_of_organization_and_role_and_nothing_can_forge_one() -> None:
    assert group_of("acme") == "org:acme:admin"
    assert group_of("acme", "viewer") == "org:acme:viewer"
    for role in ("", "a:b", "Admin", "-x", "x-", "rôle"):
        with pytest.raises(InvalidNameError):
            group_of("acme", role)
