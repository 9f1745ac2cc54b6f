"""Canaries: values that must not turn up, put wherever a program may have a secret, and then searched for everywhere.

Each canary may stand in exactly the places that are named here. What a program itself holds in its settings object it
may print and pickle, as with any Pydantic model; ``SecretStr`` hides there what it hides everywhere.
"""

from __future__ import annotations

import io
import logging
import pickle
import traceback
from collections.abc import Callable, Generator
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
import redis
from psycopg import conninfo, sql
from pydantic import Field, SecretStr

import hotconfig
from hotconfig import Timing
from tests.integration.settings import BY, Recorder, TestSettings, publish, write_by_hand
from tests.support.tap import tapped
from tests.support.waiting import Eventually

PG_PASSWORD: Final = "canary-pg-7d1f"
REDIS_PASSWORD: Final = "canary-redis-93ac"
ENVIRONMENT: Final = "canary-environment-5b20"
ATTEMPTED: Final = "canary-attempted-e4c8"
BY_HAND: Final = "canary-by-hand-31aa"
PINNED: Final = "canary-pinned-60d9"
SENSITIVE: Final = "canary-sensitive-b7f3"
INVALID: Final = "canary-invalid-2c55"
CANARIES: Final = (
    PG_PASSWORD, REDIS_PASSWORD, ENVIRONMENT, ATTEMPTED, BY_HAND, PINNED, SENSITIVE, INVALID,
)  # fmt: skip


@hotconfig.settings(service="vault")
class Vault(TestSettings):
    password: SecretStr = SecretStr("unset")
    endpoint: str = "none"
    token_hint: Annotated[str, hotconfig.Sensitive(), Field(max_length=60)] = "none"
    ratio: float = 0.5


class Said:
    """Everything that was said, by where; and what may stand where."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, where: str, said: object) -> None:
        self.texts[where] = self.texts.get(where, "") + (said if isinstance(said, str) else repr(said)) + "\n"

    def error(
        self, where: str, action: Callable[[], object], kind: type[BaseException] = hotconfig.HotConfigError
    ) -> None:
        """What an action that fails says: the message, the whole chain of causes, and its pickle."""
        with pytest.raises(kind) as caught:
            action()
        self.add(where, "".join(traceback.format_exception(caught.value)))
        self.add(where, [str(one) for one in _causes(caught.value)])

    def check(self, allowed: dict[str, tuple[str, ...]]) -> None:
        for where, text in self.texts.items():
            for canary in CANARIES:
                assert canary not in text or canary in allowed.get(where, ()), (canary, where)


def _causes(error: BaseException | None) -> Generator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def with_password(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password)}@{parts.hostname}:{parts.port}"))


@pytest.fixture
def secret_urls(migrated_url: str, redis_url: str) -> Generator[tuple[str, str]]:
    """A role and a Redis user that may do everything and whose passwords are canaries."""
    role = sql.Identifier("canary_role")
    with psycopg.connect(migrated_url, autocommit=True) as admin, redis.Redis.from_url(redis_url) as redis_admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PG_PASSWORD)))
        admin.execute("SELECT hotconfig.grant_writer('canary_role')")
        redis_admin.acl_setuser(
            "canary", enabled=True, passwords=[f"+{REDIS_PASSWORD}"], commands=["+@all"], channels=["*"]
        )
        try:
            yield (
                conninfo.make_conninfo(migrated_url, user="canary_role", password=PG_PASSWORD),
                with_password(redis_url, "canary", REDIS_PASSWORD),
            )
        finally:
            redis_admin.acl_deluser("canary")
            admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
            admin.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def every_record() -> Generator[io.StringIO]:
    """What every logger of the process says, at DEBUG, with tracebacks."""
    kept = io.StringIO()
    handler = logging.StreamHandler(kept)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(handler)
    root.setLevel(before)


def rows_of(database_url: str) -> dict[str, str]:
    """All that stands in each table."""
    with psycopg.connect(database_url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'hotconfig'").fetchall()
        found: dict[str, str] = {}
        for (name,) in names:
            statement = sql.SQL("SELECT t::text FROM hotconfig.{} t").format(sql.Identifier(name))
            found[str(name)] = repr(connection.execute(statement).fetchall())
        return found


def test_canaries_stand_where_they_may_and_nowhere_else(
    secret_urls: tuple[str, str],
    migrated_url: str,
    redis_url: str,
    every_record: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    monkeypatch.setenv("HOTCONFIG_TEST_PASSWORD", ENVIRONMENT)
    said, told = Said(), Recorder[Vault]()
    with tapped(redis_url) as tap, hotconfig.HotConfig(*secret_urls, timing=Timing(reconcile_s=600)) as client:
        vault = client.bind(Vault, pins={"endpoint": PINNED})
        client.on_change(vault, told)
        assert vault.password.get_secret_value() == ENVIRONMENT
        client.on_change(vault, lambda _: 1 / 0, key="token_hint")  # its traceback is logged
        commit = client.store.set(vault, token_hint=SENSITIVE, by=BY, reason="a hint")
        client.wait_for(commit)
        assert vault.token_hint == SENSITIVE
        attempts: dict[str, Callable[[], object]] = {
            "a secret": lambda: client.store.set(vault, password=ATTEMPTED, by=BY),
            "a SecretStr": lambda: client.store.set(vault, password=SecretStr(ATTEMPTED), by=BY),
            "a SecretStr elsewhere": lambda: client.store.update(vault, {"ratio": SecretStr(ATTEMPTED)}, by=BY),
            "no number": lambda: client.store.set(vault, ratio=INVALID, by=BY),
            "too long a hint": lambda: client.store.set(vault, token_hint=INVALID * 9, by=BY),
            "an unknown key": lambda: client.store.update(vault, {"nothing": INVALID}, by=BY),
            "other pins": lambda: client.bind(Vault, pins={"endpoint": PINNED + "2"}),
            "a conflict": lambda: client.store.set(vault, token_hint=SENSITIVE + "2", by=BY, expect=9),
            "assigning": lambda: setattr(vault, "token_hint", INVALID),
        }
        for where, action in attempts.items():
            said.error(where, action, (AttributeError if where == "assigning" else hotconfig.HotConfigError))
        write_by_hand(migrated_url, "vault", ratio=BY_HAND, password=BY_HAND)
        publish(redis_url, "config:vault:region", "?")
        eventually(lambda: client.status().services["vault"].problems)
        said.error("waiting for what was rejected", lambda: client.wait_for(2, settings=vault))
        (change,) = told.wait(1)
        status = client.status()
        for where, thing in {
            "commit": commit,
            "status": status,
            "change": change,
            "client": client,
            "store": client.store,
        }.items():
            said.add(where, repr(thing) + str(thing))
        for where, picklable in {"commit": commit, "status": status.counters}.items():
            said.add(f"pickled {where}", pickle.dumps(picklable).decode("latin-1"))
        said.error("pickling a client", lambda: pickle.dumps(client), TypeError)
        said.add(
            "the live object", repr(vault) + str(vault) + vault.model_dump_json() + repr(hotconfig.snapshot(vault))
        )
        said.add("redis", tap.text())
    said.add("logs", every_record.getvalue())
    for table, rows in rows_of(migrated_url).items():
        said.add(f"table {table}", rows)

    assert "ZeroDivisionError" in said.texts["logs"]
    assert "config:vault:token_hint" in said.texts["redis"]
    assert "x-hotconfig-sensitive" in said.texts["table service_schemas"]
    assert SENSITIVE in said.texts["table config_history"]
    in_rows = (SENSITIVE, BY_HAND)  # what a person wrote by hand stands where it was written, and the history says who
    said.check(
        {
            "table service_configs": in_rows,
            "table config_history": in_rows,
            "the live object": (SENSITIVE, PINNED),  # its own, to a program that prints it
        }
    )


PLACES = (
    "nobody:{}@127.0.0.1:1/db",
    "nobody:{}@127.0.0.1:port/db",
    "nobody:a/{}@host/db",
    "nobody:{}@[::1/db",
    "nobody:%zz{}@127.0.0.1:1/db",
    "nobody:x@127.0.0.1:1/db?password={}",
    "nobody:#{}@127.0.0.1:1/db",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_password_in_a_url_is_not_repeated_however_the_url_is_wrong(
    place: str, migrated_url: str, every_record: io.StringIO
) -> None:
    said = Said()
    for scheme in ("postgresql", "http", "redis"):
        url = f"{scheme}://{place.format(PG_PASSWORD)}"
        said.error(f"as a database, {scheme}", partial(hotconfig.HotConfig(url).start, timeout=3))
        client = hotconfig.HotConfig(migrated_url, url)
        try:
            client.start()
        except hotconfig.HotConfigError as error:
            said.add(f"as a Redis, {scheme}", "".join(traceback.format_exception(error)))
        said.add("status", client.status())
        client.close()
    said.add("logs", every_record.getvalue())
    said.check({})


def test_a_refused_password_is_not_repeated(
    secret_urls: tuple[str, str], every_record: io.StringIO, eventually: Eventually
) -> None:
    database_url, redis_url = secret_urls
    said = Said()
    wrong = conninfo.make_conninfo(database_url, password=INVALID)
    said.error("a wrong password for PostgreSQL", lambda: hotconfig.HotConfig(wrong).start(timeout=5))
    with hotconfig.HotConfig(database_url, with_password(redis_url, "canary", INVALID)) as client:
        client.bind(Vault)
        eventually(lambda: client.status().last_error, 10)
        said.add("status", client.status())
    said.add("logs", every_record.getvalue())
    assert "refused" in said.texts["status"]
    said.check({})


def test_a_schema_row_holds_no_default(migrated_url: str) -> None:
    @hotconfig.settings(service="defaults")
    class Defaults(TestSettings):
        password: SecretStr = SecretStr(ATTEMPTED)
        plain: str = ENVIRONMENT
        nested: dict[str, Any] = Field({"a": BY_HAND})
        made: list[str] = Field(default_factory=lambda: [INVALID])
        hint: Annotated[str, hotconfig.Sensitive()] = SENSITIVE

    with hotconfig.HotConfig(migrated_url) as client:
        client.bind(Defaults)
    said = Said()
    said.add("schemas", rows_of(migrated_url)["service_schemas"])
    assert "nested" in said.texts["schemas"]
    said.check({})
