"""Tenants in PostgreSQL: the adapter behind :class:`hotconfig.provisioner.rows.TenantRows`.

Owns the statements about organizations and the translation of their refusals. Must not know Kubernetes, nor what a
state means. Each call is one statement, one transaction and one round trip, on a thread, so that asyncio and trio both
have it and connections behave as everywhere else here: bounded waits, failover, poolers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID

import anyio
import psycopg
from anyio import to_thread
from psycopg.types.json import Jsonb

from hotconfig.core.errors import DatabaseUnavailableError, HotConfigError, InvalidValueError
from hotconfig.core.tenants.records import (
    QUOTA_KEYS,
    Asked,
    Condition,
    IsolationReceipt,
    Lease,
    NewOrganization,
    Operation,
    Organization,
    Past,
    Probe,
    Progress,
    QuotaTexts,
    Request,
)
from hotconfig.core.tenants.refusals import (
    DeletionProtectedError,
    IdempotencyKeyError,
    LeaseLostError,
    NameQuarantinedError,
    NameTakenError,
    UnknownOrganizationError,
    WrongStateError,
)
from hotconfig.core.tenants.states import ConditionKind, OperationKind, OperationState, State
from hotconfig.postgres.connect import MAX_IDLE, Sessions, in_schema

T = TypeVar("T")

MAX_CONNECTIONS: Final = MAX_IDLE
"""Calls at the same time; more of them wait, for one round trip each. As many as are kept open."""

_REFUSALS: Final[Mapping[str, tuple[type[HotConfigError], str]]] = {
    "HC003": (IdempotencyKeyError, "Take a new key for a new request."),
    "HC004": (NameTakenError, "Choose another name; `adopt` takes over an organization that is unmanaged or failed."),
    "HC005": (NameQuarantinedError, "Choose another name, or wait."),
    "HC006": (WrongStateError, "Look at its state, then ask for what is possible."),
    "HC007": (UnknownOrganizationError, "Check the name."),
    "HC008": (DeletionProtectedError, "Lift that first: protect(..., protected=False), or unprotect."),
    "HC009": (LeaseLostError, "Stop working on it; whoever has it goes on."),
    "23514": (InvalidValueError, "A name or a text breaks the rules of the table."),
}
"""SQLSTATEs of 0002_tenants.sql, beside check_violation: the error, and what to do."""

_CREATE: Final = """\
SELECT {schema}.create_organization(%(slug)s, %(name)s, %(owner_email)s, %(keys)s::text[], %(values)s::text[],
    %(protected)s, %(key)s, %(hash)s, %(request)s, %(by)s, %(reason)s, %(owner)s, %(lease_s)s), now()"""

_BEGIN: Final = """\
SELECT {schema}.begin_operation(%(slug)s, %(kind)s, %(key)s, %(hash)s, %(request)s, %(by)s, %(reason)s, %(owner)s,
    %(lease_s)s, %(keys)s::text[], %(values)s::text[], %(retention_s)s), now()"""

_LIST: Final = """\
SELECT {schema}.tenant_json(o.id), now() FROM {schema}.organizations o
WHERE o.id > %(after)s AND (%(states)s::text[] IS NULL OR o.state = ANY (%(states)s::text[]))
ORDER BY o.id LIMIT %(limit)s"""

_RECORD: Final = """\
SELECT {schema}.record_step(%(slug)s, %(owner)s, %(state)s, %(generation)s, %(change)s, %(event)s, %(detail)s,
    %(by)s, %(reason)s), now()"""

_HISTORY: Final = """\
SELECT number, at, organization_id, organization_uid, event, detail, by, reason, db_user
FROM {schema}.organization_history WHERE organization_id = %(slug)s ORDER BY number DESC LIMIT %(limit)s"""


class PostgresTenants:
    """See :class:`hotconfig.provisioner.rows.TenantRows` for what every method promises. Any task may call."""

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._sessions = Sessions(url, application_name="hotconfig provisioner", writable=True)
        self._limiter = anyio.CapacityLimiter(MAX_CONNECTIONS)

    async def create_organization(
        self,
        organization: NewOrganization,
        request: Request,
        *,
        lease: Lease | None = None,
    ) -> Asked:
        """Store a new organization with its quota; see the port."""
        params = {
            "slug": organization.slug,
            "name": organization.name,
            "owner_email": organization.owner_email,
            "protected": organization.deletion_protected,
            **_texts(organization.quota),
            **_asking(request),
            **_leasing(lease),
        }
        return _asked(*await self._dated(f"create organization {organization.slug!r}", _CREATE, params))

    async def begin_operation(
        self,
        slug: str,
        kind: OperationKind,
        request: Request,
        *,
        quota: QuotaTexts | None = None,
        retention_s: float = 0.0,
        lease: Lease | None = None,
    ) -> Asked:
        """Ask for a change of an organization; see the port."""
        params = {
            "slug": slug,
            "kind": kind.value,
            "retention_s": retention_s,
            **_texts(quota),
            **_asking(request),
            **_leasing(lease),
        }
        return _asked(*await self._dated(f"{kind} organization {slug!r}", _BEGIN, params))

    async def get(self, slug: str) -> Organization:
        """One organization; see the port."""
        found, at = await self._dated("read", "SELECT {schema}.tenant_json(%(slug)s), now()", {"slug": slug})
        if found is None:
            raise UnknownOrganizationError(f"there is no organization {slug!r}. Check the name.")
        return _organization(found, at)

    async def list(
        self, *, states: Sequence[State] | None = None, after: str = "", limit: int | None = None
    ) -> tuple[Organization, ...]:
        """Organizations in the order of their names; see the port."""
        wanted = None if states is None else [state.value for state in states]
        rows = await self._rows("read", _LIST, {"states": wanted, "after": after, "limit": limit})
        return tuple(_organization(*row) for row in rows)

    async def operation(self, operation_id: UUID) -> Asked | None:
        """One operation with its organization; see the port."""
        statement: LiteralString = "SELECT {schema}.operation_json(%(id)s, false), now()"
        found, at = await self._dated("read", statement, {"id": operation_id})
        return None if found is None else _asked(found, at)

    async def history(self, slug: str, *, limit: int | None = None) -> tuple[Past, ...]:
        """What became of an organization, newest first; see the port."""
        rows = await self._rows("read", _HISTORY, {"slug": slug, "limit": limit})
        return tuple(Past(*row) for row in rows)

    async def protect(self, slug: str, *, protected: bool, by: str, reason: str | None = None) -> Organization:
        """Protect an organization from deletion, or lift that; see the port."""
        statement: LiteralString = (
            "SELECT {schema}.protect_organization(%(slug)s, %(protected)s, %(by)s, %(reason)s), now()"
        )
        params = {"slug": slug, "protected": protected, "by": by, "reason": reason}
        return _organization(*await self._dated(f"protect organization {slug!r}", statement, params))

    async def lease(self, lease: Lease, *, limit: int = 1, slug: str | None = None) -> tuple[Organization, ...]:
        """Take organizations to work on; see the port."""
        statement: LiteralString = (
            "SELECT {schema}.lease_organizations(%(owner)s, %(limit)s, %(lease_s)s, %(slug)s), now()"
        )
        params = {**_leasing(lease), "limit": limit, "slug": slug}
        rows = await self._rows("lease organizations", statement, params)
        return tuple(_organization(*row) for row in rows)

    async def keep(self, slug: str, lease: Lease) -> bool:
        """Make a lease longer; see the port."""
        statement: LiteralString = "SELECT {schema}.keep_lease(%(slug)s, %(owner)s, %(lease_s)s)"
        return bool(await self._value("keep a lease", statement, {"slug": slug, **_leasing(lease)}))

    async def release(self, slug: str, owner: str) -> bool:
        """Let a lease go; see the port."""
        return await self.keep(slug, Lease(owner, 0.0))

    async def record(self, organization: Organization, owner: str, progress: Progress) -> Organization:
        """Write down what was found and done; see the port."""
        params = {
            "slug": organization.slug,
            "owner": owner,
            "state": organization.state.value,
            "generation": organization.generation,
            "change": Jsonb(_change(progress)),
            "event": progress.event,
            "detail": Jsonb(dict(progress.detail)),
            "by": progress.by,
            "reason": progress.reason,
        }
        return _organization(*await self._dated(f"record organization {organization.slug!r}", _RECORD, params))

    async def close(self) -> None:
        """Close the idle connections."""
        self._sessions.close()

    async def _dated(self, action: str, statement: LiteralString, params: Mapping[str, Any]) -> tuple[Any, datetime]:
        """The value, None where there is none, and the database's clock."""
        ((value, at),) = await self._rows(action, statement, params)
        return value, at

    async def _value(self, action: str, statement: LiteralString, params: Mapping[str, Any]) -> Any:
        rows = await self._rows(action, statement, params)
        return rows[0][0] if rows else None

    async def _rows(
        self, action: str, statement: LiteralString, params: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        return await self._threaded(partial(self._execute, action, statement, params))

    async def _threaded(self, call: Callable[[], T]) -> T:
        # Never abandoned: a thread left behind would still hold the connection, and what it asked would be done.
        return await to_thread.run_sync(call, limiter=self._limiter)

    def _execute(self, action: str, statement: LiteralString, params: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Ask, and once more on a new connection if the first one broke: all of this can safely be asked twice."""
        try:
            return self._once(action, statement, params, fresh=False)
        except DatabaseUnavailableError as error:
            if not isinstance(error.__cause__, psycopg.OperationalError) or error.__cause__.sqlstate is not None:
                raise
        return self._once(action, statement, params, fresh=True)

    def _once(
        self, action: str, statement: LiteralString, params: Mapping[str, Any], *, fresh: bool
    ) -> Sequence[tuple[Any, ...]]:
        with self._sessions.borrow(action, fresh=fresh) as session:
            try:
                return session.execute(_rendered(statement, self._schema), params).fetchall()
            except psycopg.Error as error:
                if error.sqlstate in _REFUSALS:
                    raise _refusal(error) from error
                raise


@lru_cache(maxsize=128)  # a few statements, in one schema as a rule
def _rendered(statement: LiteralString, schema: str) -> bytes:
    return in_schema(statement, schema).as_bytes()


def _refusal(error: psycopg.Error) -> HotConfigError:
    kind, advice = _REFUSALS[error.sqlstate or ""]
    return kind(f"{error.diag.message_primary or kind.__name__}. {advice}")


def _texts(quota: QuotaTexts | None) -> dict[str, Any]:
    if quota is None:
        return {"keys": None, "values": None}
    texts = {key: text for key, text in quota.by_key().items() if text is not None}
    return {"keys": list(texts), "values": list(texts.values())}


def _asking(request: Request) -> dict[str, Any]:
    return {
        "request": Jsonb(dict(request.body)),
        "hash": request.body_hash,
        "key": request.idempotency_key,
        "by": request.by,
        "reason": request.reason,
    }


def _leasing(lease: Lease | None) -> dict[str, Any]:
    return {"owner": lease and lease.owner, "lease_s": 0.0 if lease is None else lease.lease_s}


def _change(progress: Progress) -> dict[str, Any]:
    """The part of ``progress`` that says something, as record_step reads it."""
    change: dict[str, Any] = {
        "state": progress.state,
        "namespace_uid": progress.namespace_uid,
        "observed_generation": progress.observed_generation,
        "conditions": None if progress.conditions is None else [each.as_json() for each in progress.conditions],
        "isolation_receipt": None if progress.receipt is None else progress.receipt.as_json(),
        "attempts": progress.attempts,
        "retry_in_s": progress.retry_in_s,
        "quarantine_s": progress.quarantine_s,
        "error": None if progress.error is None else dict(progress.error),
    }
    return {key: value for key, value in change.items() if value is not None} | {
        "release": progress.release,
        "idle": progress.idle,
    }


def _asked(found: Mapping[str, Any], at: datetime) -> Asked:
    return Asked(_operation(found["operation"]), _organization(found["organization"], at), bool(found["made"]))


def _organization(row: Mapping[str, Any], at: datetime) -> Organization:
    quota = row["quota"]
    return Organization(
        slug=row["id"],
        uid=UUID(row["uid"]),
        name=row["name"],
        owner_email=row["owner_email"],
        state=State(row["state"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        quota=QuotaTexts(*(quota.get(key.removeprefix("quota_")) for key in QUOTA_KEYS)),
        namespace=row["namespace"],
        namespace_uid=row["namespace_uid"],
        generation=row["generation"],
        observed_generation=row["observed_generation"],
        operation=None if row["operation"] is None else _operation(row["operation"]),
        lease_owner=row["lease_owner"],
        lease_until=_time(row["lease_until"]),
        attempts=row["attempts"],
        next_attempt_at=_time(row["next_attempt_at"]),
        conditions=tuple(_condition(each) for each in row["conditions"]),
        isolation_receipt=None if row["isolation_receipt"] is None else _receipt(row["isolation_receipt"]),
        deletion_protected=row["deletion_protected"],
        purge_after=_time(row["purge_after"]),
        deleted_at=_time(row["deleted_at"]),
        quarantine_until=_time(row["quarantine_until"]),
        read_at=at,
    )


def _operation(row: Mapping[str, Any]) -> Operation:
    return Operation(
        id=UUID(row["id"]),
        organization=row["organization_id"],
        kind=OperationKind(row["kind"]),
        state=OperationState(row["state"]),
        idempotency_key=row["idempotency_key"],
        request=row["request"],
        generation=row["generation"],
        by=row["requested_by"],
        reason=row["reason"],
        created_at=datetime.fromisoformat(row["created_at"]),
        finished_at=_time(row["finished_at"]),
        error=row["error"],
    )


def _condition(row: Mapping[str, Any]) -> Condition:
    return Condition(ConditionKind(row["type"]), row["reason"], row["message"], datetime.fromisoformat(row["since"]))


def _receipt(row: Mapping[str, Any]) -> IsolationReceipt:
    probes = tuple(Probe(each["name"], each["outcome"], each["said"]) for each in row["probes"])
    return IsolationReceipt(datetime.fromisoformat(row["made_at"]), row["namespace_uid"], probes)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
