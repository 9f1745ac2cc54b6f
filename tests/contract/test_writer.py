"""A write is made once, whatever happens to the connection, and its outcome is told truly."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from hotconfig.core.chain import Change, Head
from hotconfig.core.errors import (
    ConflictError,
    DatabaseUnavailableError,
    OutcomeUnknownError,
)
from hotconfig.core.ports import Order, Written
from hotconfig.postgres.truth import PostgresWriter
from tests.support.desks import Desk, order
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import eventually


@pytest.fixture
def desk(any_migrated_url: str) -> Generator[Desk]:
    made = Desk(any_migrated_url)
    yield made
    made.close()


@pytest.fixture
def writer(desk: Desk) -> Generator[PostgresWriter]:
    made = PostgresWriter(desk.url, schema="hotconfig")
    yield made
    made.close()


@pytest.fixture
def proxy(desk: Desk) -> Generator[Proxy]:
    with Proxy(desk.url) as made:
        yield made


@pytest.fixture
def far(proxy: Proxy) -> Generator[PostgresWriter]:
    """A writer that goes through the proxy, with a connection open already."""
    made = PostgresWriter(proxy.url, schema="hotconfig")
    made.write(order(warm="up"))
    yield made
    made.close()


def again(desk: Desk, made: Order, connection: psycopg.Connection[Any] | None = None) -> Written:
    """The same order sent a second time, as after a broken connection."""
    changes = sorted(made.changes)
    row = (connection or desk.connection).execute(
        "SELECT moved, revision, digest, parent_digest, changed_at "
        "FROM hotconfig.write_config(%s, %s, %s, %s, %s, %s, %s, %s, %s, true)",
        [
            made.service,
            [change.key for change in changes],
            [change.text for change in changes],
            [change.deleted for change in changes],
            [False] * len(changes),
            made.by,
            made.reason,
            made.expect,
            made.commit_id,
        ],
    )
    moved, revision, digest, parent, at = row.fetchone() or ()
    return Written(moved, Head(revision, digest), Head(revision - 1, parent), at)


@pytest.mark.parametrize(
    "made",
    [
        order(a="1"),
        order(a="1", b="2", expect=1),
        order("ai", [Change("warm", deleted=True)]),
        order("ai", [Change("warm", deleted=True)], a="1", expect=1),
    ],
    ids=["one key", "several keys", "a deletion", "of both kinds"],
)
def test_the_same_order_sent_again_is_answered_and_not_repeated(
    made: Order, desk: Desk, writer: PostgresWriter
) -> None:
    writer.write(order(warm="up"))
    first = writer.write(made)
    assert again(desk, made) == first
    writer.write(order(a="later", warm="later"))
    writer.write(order("other", a="later"))
    assert again(desk, made) == first
    assert desk.archive.texts("ai").items() >= {"a": "later", "warm": "later"}.items()
    assert desk.revision() == 3
    assert desk.broken() is None


def test_an_order_that_changed_nothing_changes_nothing_when_sent_again(desk: Desk, writer: PostgresWriter) -> None:
    head = writer.write(order(a="1")).head
    made = order(a="1")
    assert not writer.write(made).moved
    assert again(desk, made)[:2] == (False, head)


def test_an_order_that_never_arrived_is_carried_out_when_sent_again(desk: Desk, writer: PostgresWriter) -> None:
    writer.write(order(a="1"))
    made = order(a="2", expect=1)
    assert again(desk, made).head == desk.archive.head("ai")
    assert desk.archive.texts("ai") == {"a": "2"}
    with pytest.raises(psycopg.Error, match="expected revision 1, the head is 2"):
        again(desk, order(a="3", expect=1))


@pytest.mark.parametrize("known", [True, False], ids=["known keys", "new keys"])
@pytest.mark.parametrize("expecting", [True, False], ids=["expecting", "regardless"])
def test_an_order_sent_again_while_the_first_is_under_way_waits_for_it(
    known: bool, expecting: bool, desk: Desk, writer: PostgresWriter
) -> None:
    if known:
        writer.write(order(a="0", b="0"))
    revision = desk.revision()
    made = order(a="1", b="2", expect=revision if expecting else None)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(desk.url) as first, psycopg.connect(desk.url) as second:
        second.autocommit = True
        answer = again(desk, made, first)
        repeated = pool.submit(again, desk, made, second)
        eventually(lambda: waits(desk, second), message="the second waits for the first")
        first.commit()
        assert repeated.result(5) == answer
    assert desk.revision() == revision + 1
    assert desk.broken() is None


def waits(desk: Desk, connection: psycopg.Connection[Any]) -> bool:
    rows = desk.run("SELECT cardinality(pg_blocking_pids(%s)) > 0", [connection.info.backend_pid])
    return bool(rows[0][0])


def test_connections_that_were_ended_between_calls_heal(desk: Desk, writer: PostgresWriter) -> None:
    for number in range(3):
        written = writer.write(order(a=str(number)))
        assert (written.moved, written.head.revision) == (True, number + 1)
        desk.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'hotconfig writer'"
        )
    assert len(desk.told()) == 3


@pytest.mark.parametrize("where", Cut)
@pytest.mark.parametrize("expecting", [True, False], ids=["expecting", "regardless"])
def test_a_connection_cut_during_the_call_leaves_exactly_one_commit(
    where: Cut, expecting: bool, desk: Desk, proxy: Proxy, far: PostgresWriter
) -> None:
    proxy.cut_next(where)
    made = order(a="1", b="2", expect=1 if expecting else None)
    written = far.write(made)
    assert proxy.cut_done.is_set()
    assert (written.moved, written.head, written.head.revision) == (True, desk.archive.head("ai"), 2)
    assert {row.commit_id for row in desk.archive.chain("ai") if row.revision == 2} == {str(made.commit_id)}
    assert desk.broken() is None
    assert far.write(order(a="3")).head.revision == 3


@pytest.mark.parametrize("where", Cut)
def test_a_server_that_is_gone_after_the_cut_leaves_the_outcome_unknown(
    where: Cut, desk: Desk, proxy: Proxy, far: PostgresWriter
) -> None:
    proxy.cut_next(where, then_refuse=True)
    made = order(a="canary-4711")
    with pytest.raises(OutcomeUnknownError, match=str(made.commit_id)) as caught:
        far.write(made)
    assert "canary" not in str(caught.value)
    assert desk.revision() == (2 if where is Cut.AFTER_ANSWER else 1)
    proxy.refusing = False
    assert far.write(replace(made, changes=(Change("a", "2"),))).moved


def test_a_server_that_cannot_be_reached_leaves_no_doubt(desk: Desk, proxy: Proxy) -> None:
    proxy.refusing = True
    writer = PostgresWriter(proxy.url, schema="hotconfig")
    with pytest.raises(DatabaseUnavailableError):
        writer.write(order(a="1"))
    proxy.refusing = False
    assert writer.write(order(a="1")).moved
    writer.close()


def test_a_lock_that_is_not_let_go_is_a_failure_with_a_known_outcome(desk: Desk) -> None:
    hasty = conninfo.make_conninfo(desk.url, options="-c statement_timeout=300")
    writer = PostgresWriter(hasty, schema="hotconfig")
    writer.write(order(a="0"))
    with psycopg.connect(desk.url) as blocking:
        blocking.execute("UPDATE hotconfig.service_configs SET value = 'x'")
        began_s = time.monotonic()
        with pytest.raises(DatabaseUnavailableError, match="statement timeout"):
            writer.write(order(a="1"))
        assert time.monotonic() - began_s < 3
        blocking.rollback()
    assert desk.archive.texts("ai") == {"a": "0"}
    assert writer.write(order(a="1")).head.revision == 2
    writer.close()


def test_a_read_only_server_refuses_with_a_known_outcome(desk: Desk) -> None:
    standby = conninfo.make_conninfo(desk.url, options="-c default_transaction_read_only=on")
    writer = PostgresWriter(standby, schema="hotconfig")
    with pytest.raises(DatabaseUnavailableError, match="only reads"):
        writer.write(order(a="1"))
    writer.close()


def test_a_conflict_leaves_the_connection_in_order(desk: Desk, writer: PostgresWriter) -> None:
    writer.write(order(a="1"))
    for _ in range(3):
        with pytest.raises(ConflictError):
            writer.write(order(a="2", expect=0))
    backends = desk.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hotconfig writer'")
    assert backends == [(1,)]


def test_threads_share_few_connections_and_give_them_back(desk: Desk, writer: PostgresWriter) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait(10)
        for _ in range(5):
            writer.write(order(f"s{number}", a=str(number)))

    def backends() -> int:
        rows = desk.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hotconfig writer'")
        return int(rows[0][0])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    eventually(lambda: backends() <= 4)
    writer.close()
    eventually(lambda: backends() == 0)


def test_the_keys_are_read_once(desk: Desk, writer: PostgresWriter) -> None:
    keyring = writer.keyring()
    desk.run("SELECT hotconfig.rotate_signing_key()")
    assert writer.keyring() is keyring
