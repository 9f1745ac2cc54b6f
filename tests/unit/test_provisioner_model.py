"""Requests to the provisioner: checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from hotconfig.provisioner.errors import InvalidNameError, InvalidQuantityError
from hotconfig.provisioner.model import CreateOrganization, Quota, QuotaTexts, make_request


def test_a_quota_is_compared_by_amounts_and_written_as_kubernetes_does() -> None:
    assert Quota("1000m", "1024Mi", "0") == Quota("1", "1Gi", "0Gi")
    assert hash(Quota("1000m", "1024Mi", "0")) == hash(Quota("1", "1Gi", "0Gi"))
    assert Quota("1000m", "1024Mi", "0").texts() == QuotaTexts("1", "1Gi", "0")
    assert Quota.read(QuotaTexts("1", "1Gi", "0")) == Quota(1, "1Gi", 0)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (QuotaTexts(), "no value for quota_cpu, quota_memory, quota_storage"),
        (QuotaTexts("1", None, "1Gi"), "no value for quota_memory"),
        (QuotaTexts("1", "plenty", "1Gi"), "'plenty' is no quantity"),
        (QuotaTexts("", "1Gi", "1Gi"), "no quantity"),
    ],
)
def test_rows_that_make_no_quota_are_told(texts: QuotaTexts, why: str) -> None:
    with pytest.raises(InvalidQuantityError, match=why):
        Quota.read(texts)


def test_the_default_quota_is_the_customers() -> None:
    asked = CreateOrganization("acme", "Acme", "ann@acme.example")
    assert asked.new().quota == QuotaTexts("10", "20Gi", "10Gi")


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": "Acme"},
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 201},
        {"name": "a\nb"},
        {"owner_email": ""},
        {"owner_email": "ann"},
        {"owner_email": "@acme.example"},
        {"owner_email": "ann@"},
        {"owner_email": "a nn@acme.example"},
        {"owner_email": "ann@acme.example\r\nBcc: all"},
        {"owner_email": "a" * 255 + "@b"},
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_sent(changes: dict[str, Any]) -> None:
    good = {"slug": "acme", "name": "Acme", "owner_email": "ann@acme.example"}
    with pytest.raises(InvalidNameError):
        CreateOrganization(**(good | changes))


def test_a_request_is_hashed_by_what_it_asks_for_not_by_who_asks() -> None:
    body = {"slug": "acme", "quota": {"a": "1", "b": "2"}}
    other = {"quota": {"b": "2", "a": "1"}, "slug": "acme"}
    one = make_request(body, idempotency_key="k", by="ann")
    assert one.body_hash == make_request(other, idempotency_key="l", by="bob").body_hash
    assert one.body_hash != make_request({**body, "slug": "b"}, idempotency_key="k", by="ann").body_hash
