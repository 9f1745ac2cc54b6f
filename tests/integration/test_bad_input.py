"""Bad input: a typed error whose message names the thing and the way out, and never a password or a value."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import pydantic
import pytest
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings

import hotconfig
from hotconfig import Timing
from tests.integration.settings import (
    BY,
    CANARY,
    AISettings,
    ClientFactory,
    EmailSettings,
    LimitSettings,
    TestSettings,
    write_by_hand,
)

PASSWORD = "p4ss-w0rd-in-the-url"


def with_login(url: str, user: str, password: str) -> str:
    """The URL with another login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def refusal_of(kind: type[hotconfig.HotConfigError], action: Callable[[], object], *hidden: str) -> str:
    """What an action complains about; neither the password nor anything else that is hidden stands in it."""
    with pytest.raises(kind) as caught:
        action()
    error: BaseException | None = caught.value
    said = str(error)
    for secret in (PASSWORD, CANARY, *hidden):
        assert secret not in said
    assert said[0] != " "
    return said


@pytest.fixture
def dead_port() -> Generator[int]:
    """A port at which nobody listens, kept from being taken."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def start(database_url: str, redis_url: str | None = None, timeout: float = 5.0) -> Callable[[], None]:
    def run() -> None:
        client = hotconfig.HotConfig(database_url, redis_url)
        try:
            client.start(timeout)
        finally:
            client.close()

    return run


# Servers and credentials -------------------------------------------------------------------------------------


def test_postgresql_that_cannot_be_reached(dead_port: int) -> None:
    url = f"postgresql://ann:{PASSWORD}@127.0.0.1:{dead_port}/app"
    said = refusal_of(hotconfig.DatabaseUnavailableError, start(url, timeout=1.0))
    assert f"127.0.0.1:{dead_port}/app" in said


def test_a_host_that_does_not_exist() -> None:
    url = f"postgresql://ann:{PASSWORD}@no-such-host.invalid/app"
    said = refusal_of(hotconfig.DatabaseUnavailableError, start(url, timeout=2.0))
    assert "no-such-host.invalid" in said


def test_a_wrong_password_for_postgresql(migrated_url: str) -> None:
    said = refusal_of(hotconfig.AccessDeniedError, start(with_login(migrated_url, "hotconfig", PASSWORD)))
    assert f"127.0.0.1:{urlsplit(migrated_url).port}" in said
    assert "Check user, password and database in the URL" in said


def test_a_database_that_does_not_exist(migrated_url: str) -> None:
    said = refusal_of(hotconfig.AccessDeniedError, start(with_database(migrated_url, "nothing_here")))
    assert "nothing_here" in said
    assert "database in the URL" in said


@pytest.mark.parametrize("url", [f"http://ann:{PASSWORD}@localhost/app", f"postgresql://ann:{PASSWORD}@[::1/app", "="])
def test_a_database_url_that_is_none(url: str) -> None:
    said = refusal_of(hotconfig.ConfigurationError, start(url))
    assert "URL" in said


@pytest.mark.parametrize("url", [f"http://:{PASSWORD}@localhost", f"redis://:{PASSWORD}@localhost:port", "localhost"])
def test_a_redis_url_that_is_none(migrated_url: str, url: str) -> None:
    said = refusal_of(hotconfig.ConfigurationError, start(migrated_url, url))
    assert "Redis URL" in said


def test_tables_that_were_never_made(database_url: str) -> None:
    said = refusal_of(hotconfig.SchemaMissingError, start(database_url))
    assert "hotconfig migrate" in said
    assert "HOTCONFIG_SCHEMA" in said


def test_a_schema_of_another_name(migrated_url: str) -> None:
    client = hotconfig.HotConfig(migrated_url, schema="elsewhere")
    said = refusal_of(hotconfig.SchemaMissingError, client.start)
    assert "hotconfig migrate" in said
    client.close()


@pytest.mark.parametrize("schema", ["", "a" * 64, "pg_catalog", "two words; DROP SCHEMA hotconfig"])
def test_a_schema_name_that_cannot_be(migrated_url: str, schema: str) -> None:
    client = hotconfig.HotConfig(migrated_url, schema=schema)
    assert "schema" in refusal_of(hotconfig.ConfigurationError, client.start)
    client.close()


def test_a_role_without_privileges(migrated_url: str) -> None:
    import psycopg

    name = f"nobody_{urlsplit(migrated_url).path.strip('/')}"
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        try:
            said = refusal_of(hotconfig.AccessDeniedError, start(with_login(migrated_url, name, PASSWORD)))
            assert "grant_reader" in said
        finally:
            admin.execute(f"DROP ROLE {name}")


def test_a_role_that_may_read_and_not_write(migrated_url: str) -> None:
    import psycopg

    name = f"reader_{urlsplit(migrated_url).path.strip('/')}"
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        admin.execute("SELECT hotconfig.grant_reader(%s)", [name])
        try:
            with hotconfig.HotConfig(with_login(migrated_url, name, PASSWORD)) as client:
                ai = client.bind(AISettings)
                said = refusal_of(hotconfig.AccessDeniedError, lambda: client.store.set(ai, threshold=0.9, by=BY))
            assert "grant_writer" in said
            assert "'ai'" in said
        finally:
            admin.execute(f"DROP OWNED BY {name}")
            admin.execute(f"DROP ROLE {name}")


def test_a_wrong_password_for_redis_is_told_and_does_not_stop_the_service(
    migrated_url: str, redis_url: str, start_client: ClientFactory
) -> None:
    from tests.support.waiting import eventually

    wrong = f"redis://:{PASSWORD}@127.0.0.1:{urlsplit(redis_url).port}/0"
    client = start_client(migrated_url, wrong, timing=Timing(poll_s=0.1))
    ai = client.bind(AISettings)
    said = str(eventually(lambda: client.status().last_error))
    assert "Check user and password in the URL" in said
    assert PASSWORD not in said
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    assert ai.threshold == 0.9


def test_no_database_url_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTCONFIG_DATABASE_URL", raising=False)
    said = refusal_of(hotconfig.ConfigurationError, hotconfig.HotConfig.from_env)
    assert "HOTCONFIG_DATABASE_URL is not set" in said
    assert "postgresql://" in said


# Settings classes --------------------------------------------------------------------------------------------


class Unmarked(BaseSettings):
    threshold: float = 0.75


def test_a_class_without_service(client: hotconfig.HotConfig) -> None:
    said = refusal_of(hotconfig.DeclarationError, lambda: client.bind(Unmarked))
    assert said.startswith("Unmarked has no service")
    assert '@hotconfig.settings(service="...")' in said


def test_the_decorator_without_service() -> None:
    settings: Any = hotconfig.settings
    for misuse in (lambda: settings(Unmarked), settings):
        said = refusal_of(hotconfig.DeclarationError, misuse)
        assert 'write @hotconfig.settings(service="...")' in said
    assert "Unmarked" in refusal_of(hotconfig.DeclarationError, lambda: settings(Unmarked))


def test_a_positional_service_name_is_told_how_to_be_written() -> None:
    settings: Any = hotconfig.settings
    said = refusal_of(hotconfig.DeclarationError, lambda: settings("ai"))
    assert "service=" in said


@pytest.mark.parametrize("name", ["", "a:b", "a b", "*", "ä", "a\n", "-a", ".a", "x" * 64, 7, "@commits"])
def test_a_service_name_that_cannot_be(name: Any) -> None:
    said = refusal_of(hotconfig.DeclarationError, lambda: hotconfig.settings(service=name))
    assert repr(name) in said
    assert "63 letters" in said


def test_a_field_name_that_cannot_be_a_key() -> None:
    with pytest.raises(hotconfig.DeclarationError, match="Größen: field 'größe' cannot be a key: use 1 to 127 ASCII"):

        @hotconfig.settings(service="sizes")
        class Größen(BaseModel):  # noqa: PLC2401
            größe: int = 0  # noqa: PLC2401


def test_a_class_that_is_not_pydantics() -> None:
    class Plain:
        threshold = 0.75

    mark: Any = hotconfig.settings(service="plain")
    assert "Plain" in refusal_of(hotconfig.DeclarationError, lambda: mark(Plain))
    assert "derive it from BaseSettings" in refusal_of(hotconfig.DeclarationError, lambda: mark(Plain))


def test_a_class_that_overrides_init(client: hotconfig.HotConfig) -> None:
    @hotconfig.settings(service="own")
    class OwnInit(BaseModel):
        threshold: float = 0.75

        def __init__(self, **values: Any) -> None:
            super().__init__(**values)

    said = refusal_of(hotconfig.DeclarationError, lambda: client.bind(OwnInit))
    assert said.startswith("OwnInit overrides __init__")
    assert "model_post_init" in said


def test_a_second_class_for_the_same_service(client: hotconfig.HotConfig) -> None:
    @hotconfig.settings(service="ai")
    class Others(TestSettings):
        model: str = "gpt-4"

    client.bind(AISettings)
    said = refusal_of(hotconfig.DeclarationError, lambda: client.bind(Others))
    for part in ("'ai'", "AISettings", "Others", "name another service"):
        assert part in said


def test_the_same_class_with_other_pins(client: hotconfig.HotConfig) -> None:
    client.bind(AISettings, pins={"model": CANARY})
    said = refusal_of(hotconfig.DeclarationError, lambda: client.bind(AISettings, pins={"model": CANARY + "2"}))
    assert "'ai'" in said
    assert "other pins" in said


def test_a_pin_that_names_no_field(client: hotconfig.HotConfig) -> None:
    said = refusal_of(hotconfig.UnknownKeyError, lambda: client.bind(AISettings, pins={"treshold": CANARY}))
    assert "treshold" in said
    assert "AISettings" in said or "'ai'" in said


def test_a_pin_that_does_not_validate(client: hotconfig.HotConfig) -> None:
    with pytest.raises(hotconfig.HotConfigError, match="threshold") as caught:
        client.bind(AISettings, pins={"threshold": 7.25})
    assert "7.25" not in str(caught.value)


def test_on_invalid_takes_two_words_only(client: hotconfig.HotConfig) -> None:
    bind: Any = client.bind
    said = refusal_of(hotconfig.UsageError, lambda: bind(AISettings, on_invalid="ignore"))
    assert '"raise" or "defaults"' in said


# Values ------------------------------------------------------------------------------------------------------


def test_a_row_that_does_not_validate_at_the_start_names_every_offending_key(
    client: hotconfig.HotConfig, migrated_url: str
) -> None:
    write_by_hand(migrated_url, "ai", threshold=CANARY, model=None, tags=f'["{CANARY}"')
    with pytest.raises(hotconfig.InvalidStateError) as caught:
        client.bind(AISettings)
    said = str(caught.value)
    assert caught.value.problems.keys() == {"threshold", "model", "tags"}
    for part in ("'ai'", "AISettings", "threshold", "model", "tags", 'on_invalid="defaults"'):
        assert part in said
    assert CANARY not in said
    write_by_hand(migrated_url, "ai", threshold="0.9", model="gpt-4o", tags="[]")
    assert client.bind(AISettings).threshold == 0.9


def test_rows_that_do_not_fit_one_another_at_the_start(client: hotconfig.HotConfig, migrated_url: str) -> None:
    write_by_hand(migrated_url, "limits", low="7", high="5")
    said = refusal_of(hotconfig.InvalidStateError, lambda: client.bind(LimitSettings))
    assert "'limits'" in said
    assert "low must not exceed high" in said
    assert "not from PostgreSQL" not in said
    assert "`hotconfig list limits`" in said
    assert "`hotconfig history limits`" in said


def test_rows_that_do_not_fit_one_another_are_all_replaced_by_defaults_and_the_log_names_them(
    client: hotconfig.HotConfig, migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_by_hand(migrated_url, "limits", low="7", high="5")
    assert client.bind(LimitSettings, on_invalid="defaults").low == LimitSettings().low
    assert (
        "service 'limits': bound with defaults in place of all stored values (high, low): "
        "the class as a whole: low must not exceed high"
    ) in caplog.messages


def _refuse_even(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


class Nested(BaseModel):
    depth: int = 0


@hotconfig.settings(service="values")
class Values(TestSettings):
    ratio: float = Field(0.5, ge=0, le=1)
    count: int = 0
    text: str = ""
    numbers: list[int] = Field(default_factory=list)
    nested: Nested = Nested()
    odd: Annotated[int, pydantic.AfterValidator(_refuse_even)] = 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ratio", 7.25),
        ("ratio", CANARY),
        ("ratio", None),
        ("count", 1.5),
        ("count", "9" * 5000),
        ("text", 7),
        ("text", "a\0b"),
        ("text", "\ud800"),
        ("text", "x" * 2_000_000),
        ("numbers", [1, CANARY]),
        ("numbers", f'["{CANARY}"]'),
        ("numbers", "[" * 10_000),
        ("nested", {"depth": CANARY}),
        ("odd", 2),
        ("text", object()),
    ],
)
def test_a_value_that_does_not_fit(client: hotconfig.HotConfig, key: str, value: object) -> None:
    values = client.bind(Values)
    before = values.model_dump()
    with pytest.raises(hotconfig.InvalidValueError) as caught:
        client.store.update(values, {key: value}, by=BY)
    said = str(caught.value)
    assert key in said
    assert CANARY not in said
    assert "7.25" not in said
    assert "object at 0x" not in said
    assert len(said) < 1000
    assert list(caught.value.problems) == [key]
    assert isinstance(caught.value, ValueError)
    assert values.model_dump() == before
    assert client.status().services["values"].revision == 0


def test_values_that_do_not_fit_one_another(client: hotconfig.HotConfig) -> None:
    limits = client.bind(LimitSettings)
    said = refusal_of(hotconfig.InvalidValueError, lambda: client.store.set(limits, low=7, high=5, by=BY))
    assert "'limits'" in said
    assert "LimitSettings" in said
    assert "not written" in said


def test_deleting_what_is_required(client: hotconfig.HotConfig, migrated_url: str) -> None:
    @hotconfig.settings(service="required")
    class Required(TestSettings):
        url: str

    missing = refusal_of(hotconfig.InvalidStateError, lambda: client.bind(Required))
    assert "not from PostgreSQL: url: Field required" in missing
    assert "`hotconfig set required url=VALUE --create`" in missing
    write_by_hand(migrated_url, "required", url="x")
    required = client.bind(Required)
    said = refusal_of(hotconfig.InvalidValueError, lambda: client.store.delete(required, "url", by=BY))
    assert "url" in said
    assert required.url == "x"


def test_an_unknown_key(client: hotconfig.HotConfig) -> None:
    ai = client.bind(AISettings)
    for action in (
        lambda: client.store.update(ai, {"treshold": CANARY}, by=BY),
        lambda: client.store.delete(ai, "treshold", by=BY),
    ):
        said = refusal_of(hotconfig.UnknownKeyError, action)
        assert "'treshold'" in said
        assert "threshold" in said.replace("treshold", "")


def test_a_class_that_was_never_bound(client: hotconfig.HotConfig) -> None:
    for target in (AISettings, AISettings()):
        said = refusal_of(hotconfig.NotBoundError, partial(client.store.set, target, threshold=0.9, by=BY))
        assert "bind(AISettings)" in said
    client.bind(AISettings)
    said = refusal_of(hotconfig.NotBoundError, lambda: client.store.set(AISettings(), threshold=0.9, by=BY))
    assert "the one that bind() returned" in said
    assert "AISettings" in refusal_of(hotconfig.NotBoundError, lambda: hotconfig.snapshot(AISettings()))


@pytest.mark.parametrize(
    ("story", "word"),
    [
        ({"by": ""}, "by="),
        ({"by": "x" * 257}, "by="),
        ({"by": "a\0b"}, "by="),
        ({"by": BY, "reason": "x" * 2001}, "reason="),
        ({"by": BY, "reason": "a\0b"}, "reason="),
    ],
)
def test_a_story_that_cannot_be_told(client: hotconfig.HotConfig, story: dict[str, Any], word: str) -> None:
    ai = client.bind(AISettings)
    assert word in refusal_of(hotconfig.UsageError, lambda: client.store.set(ai, threshold=0.9, **story))


def test_nothing_to_write(client: hotconfig.HotConfig) -> None:
    ai = client.bind(AISettings)
    for action in (lambda: client.store.set(ai, by=BY), lambda: client.store.delete(ai, by=BY)):
        assert "at least one key" in refusal_of(hotconfig.UsageError, action)


def test_a_revision_that_cannot_be_expected(client: hotconfig.HotConfig) -> None:
    ai = client.bind(AISettings)
    said = refusal_of(hotconfig.ConflictError, lambda: client.store.set(ai, threshold=0.9, by=BY, expect=-1))
    assert "ai" in said


def test_before_the_start() -> None:
    client = hotconfig.HotConfig("postgresql://nobody@127.0.0.1:1/nothing")
    for action in (lambda: client.bind(EmailSettings), lambda: client.wait_for(1, settings=EmailSettings)):
        said = refusal_of(hotconfig.UsageError, action)
        assert "start" in said or "bind" in said
    client.close()


@pytest.mark.parametrize("error", [getattr(hotconfig, name) for name in hotconfig.__all__ if name.endswith("Error")])
def test_every_error_is_of_one_family_and_of_one_branch(error: type[Exception]) -> None:
    branches = {hotconfig.RetryableError, hotconfig.ConfigurationError, hotconfig.UsageError}
    assert issubclass(error, hotconfig.HotConfigError)
    if error is not hotconfig.HotConfigError:
        assert sum(issubclass(error, branch) for branch in branches) == 1
