"""The hash chain, recomputed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from hotconfig.core.chain import Change, ChangeSet, Head, Recorded, extend, genesis, verify

HEAD = Head(1, b"d" * 32)


def row(revision: int, ordinal: int, parent: bytes, **other: object) -> Recorded:
    blank = Recorded(
        service="ai",
        revision=revision,
        ordinal=ordinal,
        organization_id=None,
        key="threshold",
        op="update",
        old_value="0.75",
        new_value="0.90",
        sensitive=False,
        changed_by="ann",
        reason=None,
        changed_at="2026-01-01T00:00:00.000000Z",
        db_user="app",
        commit_id=None,
        nonce=None,
        digest=b"",
    )
    made = replace(blank, **other)  # type: ignore[arg-type]
    return replace(made, digest=extend(parent, made))


def chain() -> list[Recorded]:
    """Three commits, the second of two changes."""
    rows: list[Recorded] = []
    digest = genesis("ai").digest
    for revision, ordinal in [(1, 1), (2, 1), (2, 2), (3, 1)]:
        rows.append(row(revision, ordinal, digest))
        digest = rows[-1].digest
    return rows


def head_of(rows: list[Recorded]) -> Head:
    return Head(rows[-1].revision, rows[-1].digest)


def test_the_canonical_form_is_the_json_of_postgresql() -> None:
    assert (
        row(1, 1, b"", new_value='a"\\\n\x01é\x7f🙂').canonical()
        == (
            '["hotconfig1", "ai", 1, 1, null, "threshold", "update", "0.75", "a\\"\\\\\\n\\u0001é\x7f🙂", false, '
            '"ann", null, "2026-01-01T00:00:00.000000Z", "app", null, null]'
        ).encode()
    )


def test_genesis_depends_on_the_service_alone() -> None:
    assert genesis("ai") == (0, hashlib.sha256(b"hotconfig:ai").digest())
    assert genesis("ai") != genesis("email")


def test_a_whole_chain_holds() -> None:
    assert verify("ai", chain(), head_of(chain())) is None


def test_a_service_without_commits_holds_at_its_genesis_only() -> None:
    assert verify("ai", [], genesis("ai")) is None
    assert verify("ai", [], HEAD) is not None
    assert verify("ai", chain(), genesis("ai")) is not None


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(
    "edit",
    [
        {"new_value": "0.91"},
        {"new_value": None},
        {"old_value": ""},
        {"key": "other"},
        {"op": "insert"},
        {"sensitive": True},
        {"changed_by": "bob"},
        {"reason": "because"},
        {"changed_at": "2026-01-01T00:00:00.000001Z"},
        {"db_user": "root"},
        {"organization_id": "acme"},
        {"commit_id": "00000000-0000-0000-0000-000000000000"},
        {"nonce": "00000000-0000-0000-0000-000000000000"},
        {"digest": b"x" * 32},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_an_edited_row_is_found_at_its_revision(index: int, edit: dict[str, object]) -> None:
    rows = chain()
    rows[index] = replace(rows[index], **edit)  # type: ignore[arg-type]
    found = verify("ai", rows, head_of(chain()))
    assert found is not None
    assert found.revision == chain()[index].revision


@pytest.mark.parametrize("index", range(4))
def test_a_row_left_out_is_found(index: int) -> None:
    rows = chain()
    del rows[index]
    assert verify("ai", rows, head_of(chain())) is not None


def test_swapped_and_repeated_rows_are_found() -> None:
    one, two, three, four = chain()
    for rows in ([two, one, three, four], [one, three, two, four], [one, one, two, three, four], [one, two, four]):
        assert verify("ai", rows, head_of(chain())) is not None


def test_a_chain_of_another_service_does_not_hold() -> None:
    assert verify("email", chain(), head_of(chain())) is not None


def test_a_change_set_is_complete_unless_a_value_is_withheld() -> None:
    plain = ChangeSet("ai", genesis("ai"), HEAD, (Change("a", None), Change("b", deleted=True)), "now", "ann")
    assert plain.complete
    assert not plain._replace(changes=(Change("a", "1"), Change("b", withheld=True))).complete


def test_a_head_is_printed_without_noise() -> None:
    assert str(HEAD) == "1@646464646464"
