"""The rows of tenants: the contract of ``TenantRows``, on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest
from psycopg import errors

from hotconfig.core.chain import genesis
from hotconfig.core.errors import AccessDeniedError, InvalidValueError
from hotconfig.core.tenants.states import TRANSITIONS
from hotconfig.postgres.migrate import as_sql, migrate, migrations
from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.postgres.truth import PostgresReader, PostgresWriter
from hotconfig.provisioner.errors import (
    DeletionProtectedError,
    IdempotencyKeyError,
    LeaseLostError,
    NameQuarantinedError,
    NameTakenError,
    UnknownOrganizationError,
    WrongStateError,
)
from hotconfig.provisioner.model import (
    Asked,
    Condition,
    ConditionKind,
    CreateOrganization,
    IsolationReceipt,
    Lease,
    OperationKind,
    OperationState,
    Organization,
    Probe,
    Progress,
    Quota,
    QuotaTexts,
    Request,
    State,
    make_request,
)
from hotconfig.provisioner.rows import TenantRows
from tests.support.desks import Desk, order
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

LEASE = Lease("worker-1", 60.0)
OTHER = Lease("worker-2", 60.0)
_keys = itertools.count(1)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One is enough for what PostgreSQL does; that both work is a test of its own."""
    return "asyncio"


@pytest.fixture
def desk(any_migrated_url: str) -> Generator[Desk]:
    made = Desk(any_migrated_url)
    yield made
    made.close()


@pytest.fixture
async def rows(any_migrated_url: str) -> AsyncGenerator[TenantRows]:
    made = PostgresTenants(any_migrated_url, schema="hotconfig")
    yield made
    await made.close()


def wanted(slug: str = "acme", **changes: object) -> CreateOrganization:
    return replace(CreateOrganization(slug, "Acme", "ann@acme.example"), **changes)  # type: ignore[arg-type]


def asking(body: dict[str, object] | None = None, key: str | None = None) -> Request:
    return make_request(body or {}, idempotency_key=key or f"key-{next(_keys)}", by="ann", reason="testing")


async def create(rows: TenantRows, slug: str = "acme", *, lease: Lease | None = LEASE, key: str | None = None) -> Asked:
    made = wanted(slug)
    return await rows.create_organization(made.new(), asking(made.as_json(), key), lease=lease)


async def activate(rows: TenantRows, slug: str = "acme") -> Organization:
    """An active organization that nobody has leased."""
    made = (await create(rows, slug)).organization
    done = Progress(
        state=State.ACTIVE,
        namespace_uid=f"uid-{slug}",
        observed_generation=made.generation,
        idle=True,
        release=True,
        by="provisioner",
    )
    return await rows.record(made, LEASE.owner, done)


# creating ---------------------------------------------------------------------------------------------------


async def test_an_organization_its_quota_histories_and_operation_come_in_one_commit(
    rows: TenantRows, desk: Desk
) -> None:
    asked = await create(rows)
    made = asked.organization
    assert (asked.made, made.slug, made.state, made.namespace) == (True, "acme", State.PROVISIONING, "org-acme")
    assert made.quota == QuotaTexts("10", "20Gi", "10Gi")
    assert (made.lease_owner, made.generation > 0, made.settled) == ("worker-1", True, False)
    assert made.operation == asked.operation
    assert (asked.operation.kind, asked.operation.state) == (OperationKind.CREATE, OperationState.RUNNING)
    assert await rows.get("acme") == made
    assert await rows.operation(asked.operation.id) == replace(asked, made=False)
    (past,) = await rows.history("acme")
    assert (past.event, past.by, past.reason, past.uid) == ("create", "ann", "testing", made.uid)
    told = {(row.organization_id, row.key, row.new_value, row.changed_by) for row in desk.archive.chain("k8s")}
    assert told == {
        ("acme", "quota_cpu", "10", "ann"),
        ("acme", "quota_memory", "20Gi", "ann"),
        ("acme", "quota_storage", "10Gi", "ann"),
    }
    assert {row.commit_id for row in desk.archive.chain("k8s")} == {str(asked.operation.id)}
    xacts = desk.run(
        "SELECT DISTINCT xmin::text FROM (SELECT xmin FROM hotconfig.service_configs UNION ALL "
        "SELECT xmin FROM hotconfig.organization_history UNION ALL SELECT xmin FROM hotconfig.organization_operations "
        "UNION ALL SELECT xmin FROM hotconfig.config_history UNION ALL SELECT xmin FROM hotconfig.organizations) AS x"
    )
    assert len(xacts) == 1
    assert desk.broken("k8s") is None


async def test_without_a_lease_it_is_requested_and_due(rows: TenantRows) -> None:
    assert (await create(rows, lease=None)).organization.state is State.REQUESTED
    (leased,) = await rows.lease(LEASE)
    assert leased.slug == "acme"


async def test_the_same_key_is_the_same_operation(rows: TenantRows, desk: Desk) -> None:
    first, second = await create(rows, key="k"), await create(rows, key="k")
    assert (first.made, second.made) == (True, False)
    assert second.operation == first.operation
    assert desk.revision("k8s") == 1


async def test_the_same_key_with_another_body_is_refused(rows: TenantRows) -> None:
    await create(rows, key="k")
    other = wanted(quota=Quota("11", "20Gi", "10Gi"))
    with pytest.raises(IdempotencyKeyError, match='another request: create of organization "acme"'):
        await rows.create_organization(other.new(), asking(other.as_json(), "k"))
    with pytest.raises(IdempotencyKeyError):
        await create(rows, "other", key="k")
    with pytest.raises(IdempotencyKeyError):
        await rows.begin_operation("acme", OperationKind.QUOTA, asking(wanted().as_json(), "k"))
    assert [each.slug for each in await rows.list()] == ["acme"]


async def test_amounts_written_otherwise_are_the_same_body(rows: TenantRows) -> None:
    await create(rows, key="k")
    same = wanted(quota=Quota("10000m", "20480Mi", "10Gi"))
    assert not (await rows.create_organization(same.new(), asking(same.as_json(), "k"))).made


async def test_a_taken_name_is_refused(rows: TenantRows, desk: Desk) -> None:
    await create(rows)
    with pytest.raises(NameTakenError, match='"acme" is taken: organization is provisioning'):
        await create(rows)
    desk.run("INSERT INTO hotconfig.organizations VALUES ('old', 'Old', 'o@old.example')")
    with pytest.raises(NameTakenError, match="adopt"):
        await create(rows, "old")
    assert len(desk.run("SELECT 1 FROM hotconfig.organization_operations")) == 1


async def test_eight_racers_for_one_name_make_one_organization(rows: TenantRows, desk: Desk) -> None:
    outcomes: list[str] = []

    async def race(number: int) -> None:
        try:
            outcomes.append("made" if (await create(rows, lease=Lease(f"w{number}", 60))).made else "there")
        except NameTakenError:
            outcomes.append("taken")

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(race, number)
    assert sorted(outcomes) == ["made", *["taken"] * 7]
    assert desk.run("SELECT count(*) FROM hotconfig.organizations") == [(1,)]
    assert desk.run("SELECT count(*) FROM hotconfig.organization_operations") == [(1,)]
    assert (desk.revision("k8s"), desk.broken("k8s")) == (1, None)


async def test_eight_racers_with_one_key_make_one_operation(rows: TenantRows) -> None:
    found: list[Asked] = []

    async def race() -> None:
        found.append(await create(rows, key="k"))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(race)
    assert len({asked.operation.id for asked in found}) == 1
    assert sum(asked.made for asked in found) == 1


async def test_racers_with_one_key_for_different_names_make_one_organization(rows: TenantRows) -> None:
    outcomes: list[str] = []

    async def race(slug: str) -> None:
        try:
            outcomes.append("made" if (await create(rows, slug, key="k")).made else "there")
        except IdempotencyKeyError:
            outcomes.append("refused")

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(race, f"name-{number}")
    assert sorted(outcomes) == ["made", *["refused"] * 5]
    assert len(await rows.list()) == 1


@pytest.mark.parametrize("slug", ["Acme", "a_b", "-a", "a" * 60, ""])
async def test_the_database_itself_refuses_names_that_cannot_be(rows: TenantRows, slug: str) -> None:
    with pytest.raises(InvalidValueError):
        await rows.create_organization(replace(wanted().new(), slug=slug), asking())


# quotas -----------------------------------------------------------------------------------------------------


async def test_a_quota_change_is_an_audited_change_of_the_organizations_scope(rows: TenantRows, desk: Desk) -> None:
    before = await activate(rows)
    asked = await rows.begin_operation(
        "acme", OperationKind.QUOTA, asking({"storage": "50Gi"}), quota=QuotaTexts(storage="50Gi"), lease=LEASE
    )
    assert asked.organization.quota == QuotaTexts("10", "20Gi", "50Gi")
    assert asked.organization.state is State.ACTIVE
    assert asked.organization.generation > before.generation
    assert asked.organization.lease_owner == LEASE.owner
    newest, *_ = desk.archive.history("k8s")
    assert (newest.organization_id, newest.key, newest.old_value, newest.new_value, newest.changed_by) == (
        "acme",
        "quota_storage",
        "10Gi",
        "50Gi",
        "ann",
    )
    done = Progress(observed_generation=asked.organization.generation, idle=True, release=True)
    assert (await rows.record(asked.organization, LEASE.owner, done)).settled
    found = await rows.operation(asked.operation.id)
    assert found is not None
    assert (found.operation.state, found.operation.finished_at is not None) == (OperationState.DONE, True)


async def test_a_hand_written_update_of_a_quota_is_noticed(rows: TenantRows, desk: Desk) -> None:
    before = await activate(rows)
    assert await rows.lease(LEASE) == ()
    desk.run(
        "UPDATE hotconfig.service_configs SET value = '20' WHERE service = 'k8s' AND key = 'quota_cpu' "
        "AND organization_id = 'acme'"
    )
    (due,) = await rows.lease(LEASE)
    assert (due.quota.cpu, due.generation, due.settled) == ("20", before.generation + 1, False)
    assert desk.broken("k8s") is None


async def test_a_change_of_another_key_or_scope_is_not(rows: TenantRows, desk: Desk) -> None:
    before = await activate(rows)
    desk.run("INSERT INTO hotconfig.service_configs VALUES ('k8s', 'colour', 'acme', 'red')")
    desk.run("INSERT INTO hotconfig.service_configs VALUES ('k8s', 'quota_cpu', NULL, '3')")
    desk.run("INSERT INTO hotconfig.service_configs VALUES ('ai', 'quota_cpu', 'acme', '3')")
    assert await rows.get("acme") == before


async def test_quota_rows_that_are_gone_or_wrong_are_read_as_they_are(rows: TenantRows, desk: Desk) -> None:
    await activate(rows)
    desk.run("DELETE FROM hotconfig.service_configs WHERE key = 'quota_cpu'")
    desk.run("UPDATE hotconfig.service_configs SET value = 'plenty' WHERE key = 'quota_memory'")
    found = await rows.get("acme")
    assert (found.quota, found.state) == (QuotaTexts(None, "plenty", "10Gi"), State.ACTIVE)


async def test_writers_by_hand_and_by_request_do_not_block_each_other_for_good(rows: TenantRows, desk: Desk) -> None:
    await activate(rows)

    async def by_request() -> None:
        for number in range(10):
            await rows.begin_operation("acme", OperationKind.QUOTA, asking(), quota=QuotaTexts(cpu=str(number)))

    def by_hand() -> None:
        with psycopg.connect(desk.url, autocommit=True) as connection:
            for number in range(10, 20):
                connection.execute(
                    "UPDATE hotconfig.service_configs SET value = %s WHERE key = 'quota_cpu'", [str(number)]
                )

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(by_request)
            tasks.start_soon(anyio.to_thread.run_sync, by_hand)
    assert desk.broken("k8s") is None


async def test_a_quota_that_changes_in_the_transaction_that_makes_its_tenant_is_carried_out(desk: Desk) -> None:
    with psycopg.connect(desk.url) as session:
        (made,) = session.execute(
            "SELECT hotconfig.create_organization('acme', 'Acme', 'a@acme.example', ARRAY['quota_cpu', 'quota_memory'],"
            " ARRAY['1', '1Gi'], false, 'key', 'hash', '{}', 'ann', NULL, 'worker-1', 60)"
        ).fetchone() or ({},)
        session.execute("UPDATE hotconfig.service_configs SET value = '2' WHERE key = 'quota_cpu'")
    ((generation, due),) = desk.run("SELECT generation, next_attempt_at <= now() FROM hotconfig.organizations")
    assert made["operation"]["generation"] == made["organization"]["generation"] == 1
    assert (generation, due) == (2, True)


async def test_a_tenant_is_read_without_reading_the_others(desk: Desk, any_migrated_url: str) -> None:
    desk.run(
        "INSERT INTO hotconfig.organizations (id, name, owner_email)"
        " SELECT 't' || n, 'T', 't@t.example' FROM generate_series(1, 300) AS n"
    )
    desk.run(
        "INSERT INTO hotconfig.service_configs (service, organization_id, key, value)"
        " SELECT 'k8s', 't' || n, key, n::text FROM generate_series(1, 300) AS n,"
        " unnest(ARRAY['quota_cpu', 'quota_memory', 'quota_storage']) AS k (key)"
    )
    desk.run("ANALYZE hotconfig.service_configs")
    with psycopg.connect(any_migrated_url) as session:
        row = session.execute("SELECT hotconfig.tenant_json('t7') -> 'quota'").fetchone()
        read = session.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid ="
            " 'hotconfig.service_configs'::regclass"
        ).fetchone()
    assert row == ({"cpu": "7", "memory": "7", "storage": "7"},)
    assert read == (3,)


# leases -----------------------------------------------------------------------------------------------------


async def test_workers_that_lease_at_once_never_share(rows: TenantRows) -> None:
    for number in range(12):
        await create(rows, f"t{number}", lease=None)
    taken: list[str] = []

    async def work(name: str) -> None:
        while found := await rows.lease(Lease(name, 60), limit=2):
            taken.extend(each.slug for each in found)

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(work, f"w{number}")
    assert sorted(taken) == sorted(f"t{number}" for number in range(12))


async def test_leasing_does_not_wait_for_a_row_that_is_locked(rows: TenantRows, desk: Desk) -> None:
    await create(rows, "a", lease=None)
    await create(rows, "b", lease=None)
    with psycopg.connect(desk.url) as holding:
        holding.execute("SELECT FROM hotconfig.organizations WHERE id = 'a' FOR UPDATE")
        with anyio.fail_after(30):
            found = await rows.lease(LEASE, limit=5)
        assert [each.slug for each in found] == ["b"]


async def test_a_lease_that_ran_out_goes_to_another_and_the_first_can_write_nothing_more(
    rows: TenantRows, desk: Desk
) -> None:
    made = (await create(rows, lease=Lease("slow", 0.05))).organization

    eventually(lambda: bool(desk.run("SELECT 1 FROM hotconfig.organizations WHERE lease_until <= now()")), timeout_s=30)
    assert len(await rows.lease(OTHER, slug="acme")) == 1
    with pytest.raises(LeaseLostError, match="the lease ran out"):
        await rows.record(made, "slow", Progress(state=State.ACTIVE))
    assert not await rows.keep("acme", Lease("slow", 60))
    assert not await rows.release("acme", "slow")
    found = await rows.get("acme")
    assert (found.state, found.lease_owner) == (State.PROVISIONING, OTHER.owner)


async def test_a_lease_is_kept_and_let_go(rows: TenantRows) -> None:
    made = (await create(rows)).organization
    assert await rows.keep("acme", Lease(LEASE.owner, 600))
    kept = await rows.get("acme")
    assert made.lease_until is not None
    assert kept.lease_until is not None
    assert kept.lease_until > made.lease_until
    assert await rows.lease(OTHER, slug="acme") == ()
    assert await rows.release("acme", LEASE.owner)
    assert len(await rows.lease(OTHER, slug="acme")) == 1


async def test_what_is_unmanaged_failed_or_deleted_is_never_leased(rows: TenantRows, desk: Desk) -> None:
    desk.run("INSERT INTO hotconfig.organizations VALUES ('old', 'Old', 'o@old.example')")
    made = (await create(rows)).organization
    failed = await rows.record(made, LEASE.owner, Progress(state=State.FAILED, error={"code": "x"}, release=True))
    assert failed.operation is not None
    assert (failed.operation.state, failed.operation.error) == (OperationState.FAILED, {"code": "x"})
    for slug in ("old", "acme"):
        assert await rows.lease(OTHER, slug=slug) == ()
    assert await rows.lease(OTHER, limit=10) == ()


# recording --------------------------------------------------------------------------------------------------


async def test_everything_a_worker_records_is_read_back(rows: TenantRows) -> None:
    made = (await create(rows)).organization
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    conditions = (Condition(ConditionKind.NAME_BUSY, "Terminating", "…", at),)
    receipt = IsolationReceipt(at, "uid-1", (Probe("privileged", "denied", "403"), Probe("secrets", "not_made", "why")))
    progress = Progress(
        namespace_uid="uid-1",
        conditions=conditions,
        receipt=receipt,
        attempts=3,
        retry_in_s=600.0,
        release=True,
        event="looked",
        detail={"drift": 2},
        by="worker",
    )
    found = await rows.record(made, LEASE.owner, progress)
    assert (found.namespace_uid, found.conditions, found.isolation_receipt) == ("uid-1", conditions, receipt)
    assert (found.attempts, found.lease_owner, found.state) == (3, None, State.PROVISIONING)
    assert found.next_attempt_at is not None
    assert await rows.lease(OTHER) == ()
    past = [(each.event, each.by) for each in await rows.history("acme")]
    assert past == [("looked", "worker"), ("create", "ann")]


async def test_what_a_worker_says_of_a_step_stands_beside_what_it_changed(rows: TenantRows) -> None:
    made = (await create(rows)).organization
    progress = Progress(namespace_uid="uid-2", event="repaired", detail={"objects": ["Namespace"]}, by="worker")
    found = await rows.record(made, LEASE.owner, progress)
    await rows.record(found, LEASE.owner, replace(progress, detail={"objects": ["ResourceQuota"]}))
    (nothing_changed, changed, _) = await rows.history("acme")
    assert (changed.event, changed.by) == ("repaired", "worker")
    assert changed.detail == {"objects": ["Namespace"], "namespace_uid": {"old": None, "new": "uid-2"}}
    assert nothing_changed.detail == {"objects": ["ResourceQuota"]}


@pytest.mark.parametrize("said", ['{"forged": 1}', '{"namespace_uid": "forged"}', "[1]", "null", "no json"])
async def test_only_a_worker_says_more_of_a_step(rows: TenantRows, desk: Desk, said: str) -> None:
    await create(rows)
    row = "SELECT detail FROM hotconfig.organization_history ORDER BY number DESC LIMIT 1"
    with psycopg.connect(desk.url, autocommit=True) as session:
        session.execute("SELECT set_config('hotconfig.detail', %s, false)", [said])
        session.execute("SELECT hotconfig.protect_organization('acme', true, 'eve', NULL)")
        assert session.execute(row).fetchone() == ({"deletion_protected": {"old": False, "new": True}},)
        session.execute("SELECT set_config('hotconfig.detail', %s, false)", [said])
        session.execute("UPDATE hotconfig.organizations SET namespace_uid = 'uid-3'")  # by the tables' owner alone
        (detail,) = session.execute(row).fetchone() or ({},)
    assert isinstance(detail, dict)
    assert detail["namespace_uid"] == {"old": None, "new": "uid-3"}


async def test_what_a_worker_says_is_kept_where_the_trigger_is_missing(rows: TenantRows, desk: Desk) -> None:
    made = (await create(rows)).organization
    desk.run("ALTER TABLE hotconfig.organizations DISABLE TRIGGER record_organization_change")
    progress = Progress(namespace_uid="uid-2", event="repaired", detail={"objects": ["Namespace"]}, by="worker")
    await rows.record(made, LEASE.owner, progress)
    assert [(each.event, each.detail) for each in (await rows.history("acme"))[:1]] == [
        ("repaired", {"objects": ["Namespace"]})
    ]


async def test_what_was_asked_for_meanwhile_is_due_at_once(rows: TenantRows, desk: Desk) -> None:
    await activate(rows)
    (held,) = await rows.lease(LEASE, slug="acme")
    desk.run("UPDATE hotconfig.service_configs SET value = '20' WHERE key = 'quota_cpu'")
    done = Progress(observed_generation=held.generation, idle=True, release=True)
    assert not (await rows.record(held, LEASE.owner, done)).settled
    assert len(await rows.lease(OTHER)) == 1


async def test_a_state_that_moved_meanwhile_is_not_overwritten(rows: TenantRows) -> None:
    await activate(rows)
    (held,) = await rows.lease(LEASE, slug="acme")
    asked = await rows.begin_operation("acme", OperationKind.SUSPEND, asking(), lease=OTHER)
    assert asked.organization.lease_owner == LEASE.owner
    with pytest.raises(LeaseLostError, match="became suspended while it was worked on as active"):
        await rows.record(held, LEASE.owner, Progress(conditions=(), idle=True))
    await rows.release("acme", LEASE.owner)
    (due,) = await rows.lease(OTHER)
    assert due.state is State.SUSPENDED


async def test_the_database_knows_the_same_moves(desk: Desk) -> None:
    names = [state.value for state in State]
    found = desk.run(
        "SELECT a, b FROM unnest(%(n)s::text[]) AS x (a), unnest(%(n)s::text[]) AS y (b) "
        "WHERE hotconfig.tenant_may_become(a, b)",
        {"n": names},
    )
    assert {(State(a), State(b)) for a, b in found} == TRANSITIONS


async def test_no_move_is_made_that_there_is_not_even_by_hand(rows: TenantRows, desk: Desk) -> None:
    made = (await create(rows)).organization
    with pytest.raises(WrongStateError, match='"acme" is provisioning: it cannot become deleted'):
        await rows.record(made, LEASE.owner, Progress(state=State.DELETED))
    with pytest.raises(psycopg.DatabaseError) as caught:
        desk.run("UPDATE hotconfig.organizations SET state = 'purging'")
    assert caught.value.sqlstate == "HC006"
    assert (await rows.get("acme")).quota.cpu == "10"


async def test_a_hand_written_change_leaves_a_history(rows: TenantRows, desk: Desk) -> None:
    await activate(rows)
    desk.run("UPDATE hotconfig.organizations SET owner_email = 'eve@acme.example'")
    past, *_ = await rows.history("acme")
    assert past.event == "update"
    assert past.detail == {"owner_email": {"old": "ann@acme.example", "new": "eve@acme.example"}}
    assert past.by == past.db_user


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE hotconfig.organization_history SET by = 'x'",
        "DELETE FROM hotconfig.organization_history",
        "TRUNCATE hotconfig.organization_history",
        "TRUNCATE hotconfig.organizations CASCADE",
    ],
)
async def test_history_cannot_be_edited(rows: TenantRows, desk: Desk, statement: str) -> None:
    await create(rows)
    with pytest.raises(psycopg.DatabaseError) as caught:
        desk.connection.execute(statement.encode())
    assert caught.value.sqlstate == "HC001"


# asking -----------------------------------------------------------------------------------------------------


async def test_each_operation_is_possible_in_its_states_only(rows: TenantRows) -> None:
    await activate(rows)
    for kind in (OperationKind.RESUME, OperationKind.RESTORE, OperationKind.PURGE, OperationKind.ADOPT):
        with pytest.raises(WrongStateError, match=f"is active: {kind} is not possible"):
            await rows.begin_operation("acme", kind, asking())
    suspended = await rows.begin_operation("acme", OperationKind.SUSPEND, asking())
    assert suspended.organization.state is State.SUSPENDED
    resumed = await rows.begin_operation("acme", OperationKind.RESUME, asking())
    assert resumed.organization.state is State.ACTIVE
    superseded = await rows.operation(suspended.operation.id)
    assert superseded is not None
    assert superseded.operation.error is not None
    assert superseded.operation.error["code"] == "superseded"


async def test_a_refused_operation_leaves_nothing(rows: TenantRows, desk: Desk) -> None:
    before = await activate(rows)
    with pytest.raises(WrongStateError):
        await rows.begin_operation("acme", OperationKind.RESUME, asking({}, "k"), quota=QuotaTexts(cpu="99"))
    assert await rows.get("acme") == before
    assert desk.run("SELECT 1 FROM hotconfig.organization_operations WHERE idempotency_key = 'k'") == []
    assert (await rows.begin_operation("acme", OperationKind.SUSPEND, asking({}, "k"))).made


async def test_asking_about_nobody_is_refused(rows: TenantRows) -> None:
    with pytest.raises(UnknownOrganizationError):
        await rows.get("nobody")
    with pytest.raises(UnknownOrganizationError):
        await rows.begin_operation("nobody", OperationKind.SUSPEND, asking())
    with pytest.raises(UnknownOrganizationError):
        await rows.protect("nobody", protected=True, by="ann")
    assert await rows.operation(uuid4()) is None
    assert await rows.list() == ()
    assert await rows.history("nobody") == ()


async def test_a_protected_organization_is_not_offboarded(rows: TenantRows) -> None:
    await activate(rows)
    assert (await rows.protect("acme", protected=True, by="ann")).deletion_protected
    with pytest.raises(DeletionProtectedError):
        await rows.begin_operation("acme", OperationKind.OFFBOARD, asking())
    assert not (await rows.protect("acme", protected=False, by="ann")).deletion_protected
    assert (await rows.begin_operation("acme", OperationKind.OFFBOARD, asking())).organization.purge_after
    assert [each.event for each in await rows.history("acme")][:3] == ["offboard", "protect", "protect"]


async def test_restoring_is_possible_until_the_retention_ends(rows: TenantRows) -> None:
    await activate(rows)
    await rows.begin_operation("acme", OperationKind.OFFBOARD, asking(), retention_s=3600)
    restored = await rows.begin_operation("acme", OperationKind.RESTORE, asking(), lease=LEASE)
    assert (restored.organization.state, restored.organization.purge_after) == (State.PROVISIONING, None)
    again = Progress(state=State.ACTIVE, release=True)
    await rows.record(restored.organization, LEASE.owner, again)
    await rows.begin_operation("acme", OperationKind.OFFBOARD, asking(), retention_s=0)
    with pytest.raises(WrongStateError, match="restore is not possible after its retention"):
        await rows.begin_operation("acme", OperationKind.RESTORE, asking())


async def bury(rows: TenantRows, *, quarantine_s: float) -> Organization:
    await activate(rows)
    await rows.begin_operation("acme", OperationKind.OFFBOARD, asking())
    purging = (await rows.begin_operation("acme", OperationKind.PURGE, asking(), lease=LEASE)).organization
    done = Progress(
        state=State.DELETED,
        observed_generation=purging.generation,
        quarantine_s=quarantine_s,
        idle=True,
        release=True,
        by="purger",
        reason="retention is over",
    )
    return await rows.record(purging, LEASE.owner, done)


async def test_a_deleted_organization_leaves_a_tombstone_and_its_quota_goes_with_a_history(
    rows: TenantRows, desk: Desk
) -> None:
    gone = await bury(rows, quarantine_s=3600)
    assert (gone.state, gone.quota, gone.deleted_at is not None) == (State.DELETED, QuotaTexts(), True)
    assert gone.operation is not None
    assert gone.operation.state is OperationState.DONE
    newest = desk.archive.history("k8s", limit=3)
    assert {(row.op, row.changed_by, row.reason) for row in newest} == {("delete", "purger", "retention is over")}
    assert desk.broken("k8s") is None
    with pytest.raises(NameQuarantinedError, match='the name "acme" is in quarantine until 20'):
        await create(rows)


async def test_after_the_quarantine_the_name_is_another_tenants(rows: TenantRows) -> None:
    gone = await bury(rows, quarantine_s=0)
    anew = (await create(rows)).organization
    assert anew.uid != gone.uid
    assert (anew.state, anew.namespace_uid, anew.deleted_at, anew.settled) == (State.PROVISIONING, None, None, False)
    assert anew.quota == QuotaTexts("10", "20Gi", "10Gi")
    assert {past.uid for past in await rows.history("acme")} == {gone.uid, anew.uid}


async def test_an_unmanaged_organization_is_left_alone_until_it_is_adopted(rows: TenantRows, desk: Desk) -> None:
    desk.run("INSERT INTO hotconfig.organizations VALUES ('old', 'Old', 'o@old.example')")
    assert (await rows.get("old")).state is State.UNMANAGED
    quota = QuotaTexts("1", "1Gi", "1Gi")
    asked = await rows.begin_operation(
        "old", OperationKind.ADOPT, asking({"adoption": "always"}), quota=quota, lease=LEASE
    )
    assert (asked.organization.state, asked.organization.namespace) == (State.PROVISIONING, "org-old")
    assert (asked.organization.quota, asked.operation.request) == (quota, {"adoption": "always"})


async def test_lists_are_in_order_in_pages_and_by_state(rows: TenantRows) -> None:
    for slug in ("c", "a", "b"):
        await create(rows, slug, lease=None)
    await activate(rows, "d")
    assert [each.slug for each in await rows.list()] == ["a", "b", "c", "d"]
    assert [each.slug for each in await rows.list(after="a", limit=2)] == ["b", "c"]
    assert [each.slug for each in await rows.list(states=[State.ACTIVE])] == ["d"]
    assert await rows.list(states=[]) == ()


# around it --------------------------------------------------------------------------------------------------


async def test_a_broken_connection_is_replaced_without_a_second_organization(rows: TenantRows, desk: Desk) -> None:
    await create(rows, "first")
    desk.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hotconfig provisioner'")
    eventually(
        lambda: not desk.run("SELECT 1 FROM pg_stat_activity WHERE application_name = 'hotconfig provisioner'"),
        timeout_s=30,
    )
    assert (await create(rows, "second")).made
    assert len(await rows.list()) == 2


async def test_a_provisioner_needs_only_what_grant_provisioner_gives(desk: Desk) -> None:
    with desk.role("SELECT hotconfig.grant_provisioner({name})") as url:
        rows = PostgresTenants(url, schema="hotconfig")
        gone = await bury(rows, quarantine_s=0)
        assert len(await rows.history("acme")) > 3
        assert await rows.list() == (gone,)
        assert await rows.lease(LEASE) == ()
        await rows.protect("acme", protected=False, by="ann")
        await rows.close()
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (
                "UPDATE hotconfig.organizations SET name = 'x'",
                "INSERT INTO hotconfig.organization_operations VALUES (NULL)",
                "DELETE FROM hotconfig.service_configs",
                "SELECT hotconfig.write_config('ai', '{}', '{}', '{}', '{}', 'x', 'x', NULL, NULL)",
                "SELECT * FROM hotconfig.signing_keys",
                "SELECT hotconfig.sign_history('x', 'y', 'z')",
            ):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
    with desk.role() as url:
        rows = PostgresTenants(url, schema="hotconfig")
        with pytest.raises(AccessDeniedError):
            await rows.list()
        await rows.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_asyncio_and_trio_both_have_it(anyio_backend: str, any_migrated_url: str) -> None:
    rows = PostgresTenants(any_migrated_url, schema="hotconfig")
    assert (await create(rows, anyio_backend)).made
    await rows.close()


def with_first_migration_only(url: str) -> None:
    first = migrations()[0]
    script = as_sql().split(migrations()[1].text)[0].replace("\\set ON_ERROR_STOP on", "") + "COMMIT;"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())
        assert connection.execute("SELECT number, checksum FROM hotconfig.migrations").fetchall() == [
            (1, first.checksum)
        ]


def test_an_installation_with_the_first_migration_is_brought_up_and_keeps_its_rows(any_database_url: str) -> None:
    with_first_migration_only(any_database_url)
    desk = Desk(any_database_url)
    desk.run("INSERT INTO hotconfig.organizations VALUES ('old', 'Old', 'o@old.example')")
    desk.run("INSERT INTO hotconfig.service_configs VALUES ('k8s', 'quota_cpu', 'old', '3')")
    assert [each.number for each in migrate(any_database_url)] == [each.number for each in migrations()[1:]]
    ((state, uid, generation),) = desk.run("SELECT state, uid, generation FROM hotconfig.organizations")
    assert (state, isinstance(uid, UUID), generation) == ("unmanaged", True, 0)
    assert desk.broken("k8s") is None
    desk.close()


def test_readers_and_writers_go_on_when_the_database_is_newer_than_they_are(any_migrated_url: str) -> None:
    """Only `hotconfig migrate` and the doctor look at the number; programs of the version before are not shut out."""
    desk = Desk(any_migrated_url)
    desk.run("INSERT INTO hotconfig.migrations (number, name, checksum) VALUES (9999, 'later', '')")
    writer, reader = (
        PostgresWriter(any_migrated_url, schema="hotconfig"),
        PostgresReader(any_migrated_url, schema="hotconfig"),
    )
    written = writer.write(order("ai", a="1"))
    (loaded,) = reader.load({"ai": genesis("ai")}).loaded
    assert loaded.head == written.head
    writer.close()
    reader.close()
    desk.close()
