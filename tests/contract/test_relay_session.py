"""What PostgreSQL tells the relay: one leader at a time, every commit, and change sets as their writers made them."""

from __future__ import annotations

import select
from collections.abc import Callable, Generator
from contextlib import ExitStack
from itertools import pairwise

import psycopg
import pytest

from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.errors import ConfigurationError, DatabaseUnavailableError, SchemaMissingError
from hotconfig.core.ports import Notified, Order
from hotconfig.core.relaying import REACH
from hotconfig.postgres import relayed
from hotconfig.postgres.relayed import FROZEN_AFTER_MS, PostgresRelaySession, find_leader
from hotconfig.postgres.truth import PostgresWriter
from hotconfig.runtime.publishing import Publisher
from tests.support.desks import Desk, order
from tests.support.waiting import eventually

Open = Callable[[], PostgresRelaySession]


@pytest.fixture
def desk(any_migrated_url: str) -> Generator[Desk]:
    made = Desk(any_migrated_url)
    yield made
    made.close()


@pytest.fixture
def open_session(desk: Desk) -> Generator[Open]:
    with ExitStack() as stack:

        def open_one() -> PostgresRelaySession:
            made = PostgresRelaySession.open(desk.url, "hotconfig")
            stack.callback(made.close)
            return made

        yield open_one


@pytest.fixture
def session(open_session: Open) -> PostgresRelaySession:
    return open_session()


class Announced:
    """An announcer that keeps what writers announce."""

    def __init__(self) -> None:
        self.change_sets: list[ChangeSet] = []

    def announce(self, change_set: ChangeSet, keyring: object) -> None:  # noqa: ARG002 - as the port has it
        self.change_sets.append(change_set)

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing is open."""


@pytest.fixture
def announced() -> Announced:
    return Announced()


@pytest.fixture
def publisher(desk: Desk, announced: Announced) -> Generator[Publisher]:
    made = Publisher(PostgresWriter(desk.url, schema="hotconfig"), announced)
    yield made
    made.close()


def after(session: PostgresRelaySession, head: Head, service: str = "ai") -> list[ChangeSet]:
    (missed,) = session.missed({service: head})
    return missed.change_sets()


# The role ----------------------------------------------------------------------------------------------------


def test_one_session_at_a_time_leads(open_session: Open, desk: Desk) -> None:
    first, second = open_session(), open_session()
    assert find_leader(desk.url, "hotconfig") is None
    assert first.try_lead()
    assert not second.try_lead()
    leader = find_leader(desk.url, "hotconfig")
    assert leader is not None
    assert leader.is_relay
    assert find_leader(desk.url, "another") is None
    first.close()
    eventually(second.try_lead, message="the server has noticed")


def test_a_login_without_rights_that_takes_the_lock_is_no_relay_whatever_it_calls_itself(desk: Desk) -> None:
    with desk.role() as url, psycopg.connect(url, autocommit=True, application_name="hotconfig relay") as holder:
        holder.execute("SELECT pg_advisory_lock(hashtext('hotconfig relay'), hashtext('hotconfig'))")
        leader = find_leader(desk.url, "hotconfig")
        holding = holder.info.backend_pid, holder.info.user
    assert leader is not None
    assert (leader.pid, leader.role) == holding
    assert not leader.is_relay


def test_each_schema_has_a_leader_of_its_own(open_session: Open, desk: Desk) -> None:
    assert open_session().try_lead()
    other = PostgresRelaySession.open(desk.url, "other")
    assert other.try_lead()
    other.close()


def test_the_server_ends_a_session_that_is_silent_and_frees_the_role(open_session: Open) -> None:
    frozen, heir = open_session(), open_session()
    assert frozen.try_lead()
    for _ in range(2):
        heir.beat()
    eventually(heir.try_lead, FROZEN_AFTER_MS / 1000 + 5)
    with pytest.raises(DatabaseUnavailableError):
        frozen.beat()
    with pytest.raises(DatabaseUnavailableError):
        frozen.receive()


def test_a_session_behind_a_pooler_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)  # a pooler makes one up
    with pytest.raises(ConfigurationError, match="behind a connection pooler, where no relay can work"):
        PostgresRelaySession.open(desk.url, "hotconfig")


def test_missing_tables_are_told(any_database_url: str) -> None:
    session = PostgresRelaySession.open(any_database_url, "hotconfig")
    with pytest.raises(SchemaMissingError):
        session.standings()
    session.close()


def test_a_reader_may_relay(desk: Desk) -> None:
    desk.put(a="1")
    with desk.role("SELECT hotconfig.grant_reader({name})") as url:
        session = PostgresRelaySession.open(url, "hotconfig")
        assert session.try_lead()
        assert [standing.service for standing in session.standings()] == ["ai"]
        assert len(after(session, genesis("ai"))) == 1
        assert session.keyring().keys() == {1}
        session.close()


# What it hears -----------------------------------------------------------------------------------------------


def test_every_commit_is_heard_also_beside_an_answer(session: PostgresRelaySession, desk: Desk) -> None:
    assert session.receive() == []
    desk.put(a="1", b="2")
    session.beat()
    desk.put("email", a="1")
    heard: list[Notified] = []

    def all_heard() -> bool:
        select.select([session.fileno()], [], [], 0.05)
        heard.extend(session.receive())
        return len(heard) == 3

    eventually(all_heard)
    assert heard == [("ai", 1), ("ai", 2), ("email", 1)]


def test_what_anybody_else_notifies_is_no_commit(session: PostgresRelaySession, desk: Desk) -> None:
    for payload in ("", "ai", "ai x", "ai -1", "ai 99999999999999999999", " 1"):
        desk.run("SELECT pg_notify('hotconfig', %s)", [payload])
    desk.put(a="1")
    assert eventually(session.receive) == [("ai", 1)]


# What it reads -----------------------------------------------------------------------------------------------


def test_standings_are_the_heads_and_what_moved_lately(session: PostgresRelaySession, desk: Desk) -> None:
    assert session.standings() == []
    desk.put(a="1", b="2")
    desk.put("email", a="1")
    desk.run("SET session_replication_role = replica")
    desk.run("UPDATE hotconfig.heads SET changed_at = changed_at - interval '1 hour' WHERE service = 'email'")
    ai, email = sorted(session.standings())
    (first, second) = after(session, genesis("ai"))
    assert (ai.service, ai.head, ai.parent, ai.lately) == ("ai", second.head, first.head, True)
    assert (email.service, email.head, email.parent, email.lately) == (
        "email",
        desk.archive.head("email"),
        genesis("email"),
        False,
    )


def test_a_change_set_is_the_one_that_its_writer_made(
    session: PostgresRelaySession, publisher: Publisher, announced: Announced
) -> None:
    publisher.commit("ai", [Change("a", "1"), Change("b", None), Change("c", "ö\n\"'")], by="ann", reason="because")
    publisher.commit("ai", [Change("a", deleted=True), Change("b", "")], by="bob")
    publisher.commit("ai", [Change("t", "hush"), Change("u", "2")], by="ann", sensitive=frozenset({"t"}))
    publisher.commit("ai", [Change("t", deleted=True)], by="ann", sensitive=frozenset({"t"}))
    made = after(session, genesis("ai"))
    for one in made:  # several keys of one statement are written in an order of PostgreSQL's own
        (own,) = (own for own in announced.change_sets if own.head == one.head)
        assert sorted(one.changes) == sorted(own.changes)
        assert (one.parent, one.at, one.by, one.reason) == (own.parent, own.at, own.by, own.reason)
    assert [one.head.revision for one in made] == [1, 2, 3, 4]
    assert after(session, made[1].head) == made[2:]
    assert after(session, made[3].head) == []


def test_several_services_are_read_at_once(session: PostgresRelaySession, desk: Desk) -> None:
    desk.put("ai", a="1")
    desk.put("email", a="1", b="2")
    found = session.missed({name: genesis(name) for name in ("ai", "email", "never written to")})
    assert [(missed.service, len(missed.change_sets())) for missed in found] == [("ai", 1), ("email", 2)]


def test_a_digest_that_the_chain_does_not_hold_brings_the_newest_commit(
    session: PostgresRelaySession, desk: Desk
) -> None:
    desk.put(a="1", b="2", c="3")
    (missed,) = session.missed({"ai": Head(2, b"x" * 32)})
    (only,) = missed.change_sets()
    assert not missed.known
    assert only.changes == (Change("c", "3"),)
    assert only.head == missed.head == desk.archive.head("ai")
    assert only.parent == after(session, genesis("ai"))[1].head


def test_what_lies_too_far_back_is_left_out(session: PostgresRelaySession, desk: Desk) -> None:
    for number in range(REACH + 5):
        desk.put(**{f"k{number}": "1"})
    made = after(session, genesis("ai"))
    assert [one.head.revision for one in made] == list(range(6, REACH + 6))
    assert all(one.parent == before.head for before, one in pairwise(made))


def test_sensitive_texts_and_tenants_texts_do_not_leave_the_server(session: PostgresRelaySession, desk: Desk) -> None:
    desk.run("INSERT INTO hotconfig.organizations VALUES ('acme', 'Acme', 'a@acme.example')")
    with desk.connection.transaction():
        desk.run(
            "INSERT INTO hotconfig.service_configs VALUES ('ai', 'a', 'acme', 'theirs'), ('ai', 'a', NULL, 'ours')"
        )
        desk.run("INSERT INTO hotconfig.service_configs VALUES ('ai', 's', NULL, 'hush', true)")
    (missed,) = session.missed({"ai": genesis("ai")})
    assert [row.text for row in missed.rows] == [None, "ours", None]
    (only,) = missed.change_sets()
    assert only.changes == (Change("a", "ours"), Change("s", withheld=True))
    assert only.head == desk.archive.head("ai")


def test_texts_beyond_what_one_read_may_bring_are_withheld(
    session: PostgresRelaySession, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayed, "MAX_TEXT_BYTES", 10)
    desk.put(a="x" * 8, b="x" * 3, c="1")
    assert [one.changes[0] for one in after(session, genesis("ai"))] == [
        Change("a", "x" * 8),
        Change("b", withheld=True),
        Change("c", withheld=True),
    ]


def test_the_order_of_a_batch_is_kept(session: PostgresRelaySession, desk: Desk) -> None:
    writer = PostgresWriter(desk.url, schema="hotconfig")
    wanted: list[Order] = [order("ai", a=str(number)) for number in range(20)]
    for one in wanted:
        writer.write(one)
    writer.close()
    assert [one.changes[0].text for one in after(session, genesis("ai"))] == [str(number) for number in range(20)]
