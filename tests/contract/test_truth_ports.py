"""What every truth promises to the runtime: PostgreSQL 18 and 15, and the one in memory. SQL's own is beside."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from hotconfig.core.chain import Change, Head, genesis
from hotconfig.core.errors import ConfigurationError, ConflictError
from hotconfig.core.judge import Loaded, applied
from hotconfig.core.ports import Order, Reader, Writer
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.truth import PostgresReader, PostgresWriter
from tests.support.databases import Databases
from tests.support.desks import Desk, MemoryDesk, order

AnyDesk = Desk | MemoryDesk


@pytest.fixture(params=["18", "15", "memory"])
def desk(request: pytest.FixtureRequest) -> Generator[AnyDesk]:
    if request.param == "memory":
        yield MemoryDesk()
        return
    server: EmbeddedPostgres = request.getfixturevalue("postgres" if request.param == "18" else "postgres15")
    databases = Databases(server)
    with databases.migrated() as url:
        made = Desk(url)
        yield made
        made.close()
    databases.close()


@pytest.fixture
def writer(desk: AnyDesk) -> Generator[Writer]:
    made = PostgresWriter(desk.url, schema="hotconfig") if isinstance(desk, Desk) else desk.archive
    yield made
    made.close()


@pytest.fixture
def reader(desk: AnyDesk) -> Generator[Reader]:
    made = PostgresReader(desk.url, schema="hotconfig") if isinstance(desk, Desk) else desk.archive
    yield made
    made.close()


def load(reader: Reader, service: str, head: Head) -> Loaded:
    (loaded,) = reader.load({service: head}).loaded
    return loaded


def test_a_write_tells_where_the_chain_stands(desk: AnyDesk, writer: Writer) -> None:
    one = writer.write(order(b="1", a="2"))
    assert (one.moved, one.parent, one.head) == (True, genesis("ai"), desk.archive.head("ai"))
    assert [row.key for row in desk.archive.chain("ai")] == ["a", "b"]
    assert list(desk.archive.chain("ai"))[-1].changed_at == one.at
    two = writer.write(order("ai", [Change("a", deleted=True)]))
    assert (two.moved, two.parent, two.head) == (True, one.head, desk.archive.head("ai"))


def test_what_differs_in_nothing_is_no_commit(desk: AnyDesk, writer: Writer) -> None:
    assert writer.write(order("ai", [Change("a", deleted=True)])) == (False, genesis("ai"), genesis("ai"), "None")
    one = writer.write(order(a="1", b=None))
    for same in (order(a="1"), order(b=None), order(a="1", b=None), order("ai", [Change("z", deleted=True)], a="1")):
        assert writer.write(same)[:3] == (False, one.head, one.head)
    assert desk.revision() == 1


def test_an_order_without_changes_is_no_commit(desk: AnyDesk, writer: Writer) -> None:
    assert not writer.write(order()).moved
    assert desk.archive.services() == {}


@pytest.mark.parametrize(
    "made",
    [
        replace(order(a="1"), by="canary-4711" * 30),
        order("a:b", a="canary-4711"),
        order("ai", [Change("-", "canary-4711")]),
    ],
    ids=["by", "service", "key"],
)
def test_what_the_database_refuses_leaves_no_doubt_and_names_no_value(
    made: Order, desk: AnyDesk, writer: Writer
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        writer.write(made)
    assert "canary" not in str(caught.value)
    assert desk.archive.services() == {}
    assert writer.write(order(a="1")).moved


@pytest.mark.parametrize("alike", [False, True], ids=["other values", "the same value"])
@pytest.mark.parametrize("before", [0, 3])
def test_of_those_that_expect_the_same_head_exactly_one_wins(
    before: int, alike: bool, desk: AnyDesk, writer: Writer
) -> None:
    for number in range(before):
        writer.write(order(a=f"before {number}"))
    barrier = threading.Barrier(6)

    def race(number: int) -> bool:
        text = "same" if alike else f"racer {number}"
        barrier.wait(10)
        try:
            return writer.write(order(a=text, b=text, expect=before)).moved
        except ConflictError:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(race, range(6))) == [False] * 5 + [True]
    assert desk.revision() == before + 1
    assert desk.broken() is None


@pytest.mark.parametrize("expect", [0, 1, 3, 99])
def test_an_expectation_that_is_not_met_writes_nothing(expect: int, desk: AnyDesk, writer: Writer) -> None:
    desk.put(a="1", b="2")
    deleting = order("ai", [Change("a", deleted=True)], expect=expect)
    for attempt in (order(a="x", expect=expect), order(a="1", expect=expect), deleting):
        with pytest.raises(ConflictError, match=f"expected revision {expect}, the head is 2"):
            writer.write(attempt)
    assert desk.archive.texts("ai") == {"a": "1", "b": "2"}
    assert desk.revision() == 2
    assert writer.write(order(a="3", expect=2)).head.revision == 3


def test_an_expectation_about_a_service_without_commits(writer: Writer) -> None:
    with pytest.raises(ConflictError, match="expected revision 1, the head is 0"):
        writer.write(order(a="1", expect=1))
    assert writer.write(order(a="1", expect=0)).head.revision == 1


def test_a_service_without_commits_is_at_its_genesis(reader: Reader) -> None:
    asked = genesis("ai")
    assert load(reader, "ai", asked) == Loaded("ai", asked, asked, known=True, changes=())


def test_the_first_read_brings_everything(desk: AnyDesk, reader: Reader) -> None:
    desk.put(a="1", b=None, c="")
    desk.remove("a")
    loaded = load(reader, "ai", genesis("ai"))
    assert loaded.known
    assert sorted(loaded.changes) == [Change("b", None), Change("c", "")]
    assert loaded.head == desk.archive.head("ai")


def test_a_later_read_brings_what_changed_since(desk: AnyDesk, writer: Writer, reader: Reader) -> None:
    asked = writer.write(order(a="1", b="1", c="1", d="1")).head
    writer.write(order(a="2", b="2"))
    writer.write(order("ai", [Change("b", deleted=True)], a="3"))
    last = writer.write(order("ai", [Change("c", deleted=True)], e=None))
    writer.write(order(e=None))
    loaded = load(reader, "ai", asked)
    assert loaded.known
    assert {change.key: change for change in loaded.changes} == {
        "a": Change("a", "3"),
        "b": Change("b", deleted=True),
        "c": Change("c", deleted=True),
        "e": Change("e", None),
    }
    assert loaded.head == last.head
    assert (loaded.by, loaded.reason, loaded.at) == (None, None, last.at)


def test_a_read_of_one_commit_tells_whose_it_was(writer: Writer, reader: Reader) -> None:
    asked = writer.write(order(a="1")).head
    last = writer.write(order(a="2", b="2"))
    loaded = load(reader, "ai", asked)
    assert (loaded.by, loaded.reason, loaded.at) == ("ann", "testing", last.at)


def test_a_read_of_several_commits_tells_whose_they_were_where_all_are_one_persons(
    writer: Writer, reader: Reader
) -> None:
    asked = writer.write(order(a="1")).head
    between = writer.write(order(a="2")).head
    writer.write(order(b="2"))
    loaded = load(reader, "ai", asked)
    assert (loaded.by, loaded.reason, loaded.several) == ("ann", "testing", False)
    writer.write(order(b="3"))
    hidden = load(reader, "ai", asked)
    assert (hidden.by, hidden.several) == (None, False)  # a commit stands in no row any more: it may be anybody's
    writer.write(replace(order(c="3"), by="bob"))
    differing = load(reader, "ai", between)
    assert (differing.by, differing.reason, differing.several) == (None, None, True)


def test_a_read_at_the_head_brings_nothing(writer: Writer, reader: Reader) -> None:
    asked = writer.write(order(a="1")).head
    assert load(reader, "ai", asked) == Loaded("ai", asked, asked, known=True, changes=())


@pytest.mark.parametrize("revision", [1, 2, 7])
def test_a_digest_that_is_not_in_the_history_brings_everything(revision: int, writer: Writer, reader: Reader) -> None:
    writer.write(order(a="1"))
    last = writer.write(order(b="2")).head
    asked = Head(revision, b"?" * 32)
    loaded = load(reader, "ai", asked)
    assert (loaded.asked, loaded.known, loaded.head) == (asked, False, last)
    assert sorted(loaded.changes) == [Change("a", "1"), Change("b", "2")]


def test_several_services_are_read_at_once(desk: AnyDesk, writer: Writer, reader: Reader) -> None:
    heads = {name: writer.write(order(name, a="1", b="1")).head for name in ("one", "two", "three")}
    writer.write(order("two", a="2"))
    asked = heads | {"never": genesis("never"), "three": Head(1, b"?" * 32)}
    answer = reader.load(asked)
    found = {loaded.service: loaded for loaded in answer.loaded}
    assert found.keys() == asked.keys()
    assert found["one"].changes == found["never"].changes == ()
    assert found["two"].changes == (Change("a", "2"),)
    assert len(found["three"].changes) == 2
    assert {name: loaded.head for name, loaded in found.items() if name != "never"} == desk.archive.services()
    assert not answer.in_recovery
    assert answer.keyring == writer.keyring()
    assert all(len(secret) == 32 for secret in answer.keyring.values())


def test_a_read_is_one_snapshot(desk: AnyDesk, writer: Writer, reader: Reader) -> None:
    """While pairs are written, every read holds a pair, under exactly the revision that wrote it."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            writer.write(order(a=str(number), b=str(number)))

    texts: dict[str, str | None] = {}
    head = genesis("ai")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        for turn in itertools.count():
            if turn >= 60 and head.revision > 1:
                break
            asked = head if turn % 2 else genesis("ai")
            loaded = load(reader, "ai", asked)
            texts = applied(texts if turn % 2 else {}, loaded.changes)
            head = loaded.head
            assert loaded.known
            assert texts in ({}, {"a": str(head.revision), "b": str(head.revision)})
        stop.set()
        writing.result(10)


def test_the_archive_tells_the_newest_first(desk: AnyDesk) -> None:
    desk.put(a="1", b="2")
    desk.put(a="3")
    assert [(row.revision, row.key) for row in desk.archive.history("ai")] == [(3, "a"), (2, "b"), (1, "a")]
    assert [row.revision for row in desk.archive.history("ai", key="a")] == [3, 1]
    assert [row.revision for row in desk.archive.history("ai", limit=1)] == [3]
    assert desk.archive.history("never") == []
    assert desk.archive.head("never") == genesis("never")
