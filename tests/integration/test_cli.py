"""The command line against real servers, mostly through its real entry point."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
import redis
from pydantic import BaseModel, Field, SecretStr

import hotconfig
from hotconfig.cli.app import run as run_here
from hotconfig.embedded import EmbeddedValkey
from tests.support.waiting import Eventually

UNREACHABLE_DATABASE = "postgresql://ann:hush@127.0.0.1:1/app"
UNREACHABLE_REDIS = "redis://ann:hush@127.0.0.1:1/0"


@hotconfig.settings(service="ai")
class AISettings(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str | None = "gpt-4"
    tags: list[str] = []
    hint: Annotated[str, hotconfig.Sensitive()] = ""
    secret: SecretStr = SecretStr("x")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def error(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.err)["error"]
        return found


Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOTCONFIG_DATABASE_URL", "HOTCONFIG_REDIS_URL", "HOTCONFIG_SCHEMA", "FORCE_COLOR", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process."""

    def cli(*arguments: str) -> Ran:
        capfd.readouterr()
        code = run_here(arguments)
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return cli


@pytest.fixture
def cli(here: Cli, migrated_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The same with both servers in the environment."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", migrated_url)
    monkeypatch.setenv("HOTCONFIG_REDIS_URL", redis_url)
    return here


@pytest.fixture
def bound(cli: Cli, migrated_url: str, redis_url: str, eventually: Eventually) -> Generator[AISettings]:
    """A program that follows the service; its class is registered."""
    with (
        hotconfig.HotConfig(migrated_url, redis_url) as running,
        psycopg.connect(migrated_url, autocommit=True) as seen,
    ):
        live = running.bind(AISettings)
        eventually(
            lambda: seen.execute("SELECT FROM hotconfig.service_schemas").fetchone() is not None, message="registered"
        )
        yield live


def program(*arguments: str, **environment: str) -> Ran:
    """Run the entry point as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "hotconfig", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


# -- set ------------------------------------------------------------------------------------------------------


def test_set_stores_and_publishes_the_text_exactly_as_typed(cli: Cli, migrated_url: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as heard:
        heard.subscribe("config:ai:threshold")
        assert heard.get_message(timeout=5) is not None
        ran = cli("set", "ai", "threshold", "0.90", "--create", "--by", "ann", "--reason", "why not")
        message = heard.get_message(timeout=5)
    assert (ran.code, ran.out.splitlines()[0]) == (0, "ai: revision 1, announced")
    assert message is not None
    assert message["data"] == b"0.90"
    with psycopg.connect(migrated_url) as connection:
        assert connection.execute("SELECT value FROM hotconfig.service_configs").fetchall() == [("0.90",)]
        assert connection.execute("SELECT changed_by, reason FROM hotconfig.config_history").fetchall() == [
            ("ann", "why not")
        ]


def test_what_is_set_reaches_a_running_program(cli: Cli, bound: AISettings, eventually: Eventually) -> None:
    assert cli("set", "ai", "threshold=0.5", "model=gpt-4o", 'tags=["a"]').code == 0
    eventually(lambda: (bound.threshold, bound.model, bound.tags) == (0.5, "gpt-4o", ["a"]))
    assert cli("set", "ai", "model", "--null").code == 0
    eventually(lambda: bound.model is None)
    assert cli("delete", "ai", "model", "threshold").code == 0
    eventually(lambda: (bound.threshold, bound.model) == (0.75, "gpt-4"))


def test_several_keys_are_one_revision(cli: Cli) -> None:
    ran = cli("set", "ai", "a=1", "b=2", "--create", "--json")
    assert ran.document["revision"] == 1
    assert ran.document["keys"] == ["a", "b"]
    assert ran.document["changed"]
    assert ran.document["announced"]


def test_setting_what_is_there_changes_nothing(cli: Cli) -> None:
    cli("set", "ai", "a=1", "--create")
    ran = cli("set", "ai", "a=1")
    assert ran.code == 0
    assert "nothing changed, revision 1" in ran.out


def test_a_value_that_no_class_takes_is_refused_and_nothing_written(cli: Cli, bound: AISettings) -> None:
    ran = cli("set", "ai", "threshold=7.25", "model=x")
    assert ran.code == 2
    assert ran.err == "error: service 'ai': key 'threshold' must be at most 1\n"
    assert cli("get", "ai", "--json").document["values"] == {}
    assert bound.threshold == 0.75


def test_a_secret_is_refused(cli: Cli, bound: AISettings) -> None:
    ran = cli("set", "ai", "secret", "hush", "--json")
    assert (ran.code, ran.error["type"]) == (2, "SecretValueError")
    assert "hush" not in ran.err


def test_an_unknown_key_is_refused_with_its_likeness_unless_created(cli: Cli, bound: AISettings) -> None:
    ran = cli("set", "ai", "treshold", "0.5")
    assert ran.code == 2
    assert "did you mean 'threshold'?" in ran.err
    assert "--create" in ran.err
    created = cli("set", "ai", "treshold", "0.5", "--create")
    assert created.code == 0
    assert "no registered class has the key 'treshold'" in created.err


def test_an_unknown_service_is_refused_with_its_likeness_unless_created(cli: Cli) -> None:
    cli("set", "search", "size=3", "--create")
    ran = cli("set", "serach", "size=3")
    assert ran.code == 2
    assert "did you mean 'search'?" in ran.err
    assert "as soon as a program has bound its class" in ran.err
    assert "--create" in ran.err


def test_quotas_of_organizations_are_not_set_for_everybody(cli: Cli) -> None:
    ran = cli("set", "k8s", "quota_storage=20Gi", "--create")
    assert ran.code == 2
    assert "hotconfig-provisioner quota ORGANIZATION" in ran.err
    assert cli("set", "k8s", "nodes=3", "--create").code == 0
    assert cli("delete", "k8s", "nodes").code == 0
    assert "hotconfig-provisioner get ORGANIZATION" in cli("get", "k8s").err


def test_without_a_registered_class_it_is_said_that_nothing_was_checked(cli: Cli) -> None:
    ran = cli("set", "ai", "a=1", "--create")
    assert "nothing could be checked" in ran.err
    assert "notes" in cli("set", "ai", "a=2", "--json").document


def test_an_expected_revision_that_is_not_the_head_is_a_conflict(cli: Cli) -> None:
    cli("set", "ai", "a=1", "--create")
    ran = cli("set", "ai", "a=2", "--expect", "0", "--json")
    assert (ran.code, ran.error["type"]) == (4, "ConflictError")
    assert cli("get", "ai", "a").out == "1\n"
    assert cli("set", "ai", "a=2", "--expect", "1").code == 0


def test_a_sensitive_key_stays_unannounced_and_unshown(cli: Cli, redis_url: str) -> None:
    cli("set", "ai", "hint=one", "--create", "--sensitive")
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as heard:
        heard.subscribe("config:ai:@commits")
        assert heard.get_message(timeout=5) is not None
        ran = cli("set", "ai", "hint=t0psecret")
        message = heard.get_message(timeout=5)
    assert message is not None
    assert b"t0psecret" not in message["data"]
    for shown in (ran, cli("list", "ai"), cli("history", "ai")):
        assert "t0psecret" not in shown.out
        assert "(sensitive)" in shown.out
    for hidden in (cli("list", "ai", "--json"), cli("history", "ai", "--json")):
        assert "t0psecret" not in hidden.out
    assert cli("get", "ai", "hint").out == "t0psecret\n"


def test_without_redis_it_is_said_when_programs_will_find_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTCONFIG_REDIS_URL")
    ran = cli("set", "ai", "a=1", "--create")
    assert ran.code == 0
    assert "announced" not in ran.out
    assert "within milliseconds, through PostgreSQL's LISTEN (behind a pooler they look every 0.75 s)" in ran.err
    assert "HOTCONFIG_REDIS_URL" in ran.err


def test_a_commit_stands_when_redis_is_away(cli: Cli) -> None:
    ran = cli("set", "ai", "a=1", "--create", "--redis-url", UNREACHABLE_REDIS)
    assert ran.code == 0
    assert ran.out.startswith("ai: revision 1\n")
    assert "committed but not announced" in ran.err
    assert "programs that reach Redis see it within about 12 s" in ran.err
    assert "those that have lost it, or have none, within milliseconds" in ran.err
    assert "hush" not in ran.err


def test_negative_numbers_are_values_and_misspelt_options_are_not(cli: Cli) -> None:
    assert cli("set", "ai", "offset", "-0.5", "--create").code == 0
    assert cli("get", "ai", "offset").out == "-0.5\n"
    ran = cli("set", "ai", "offset", "--creat")
    assert (ran.code, "no such option: --creat" in ran.err) == (2, True)


# -- get, list, history, delete ----------------------------------------------------------------------------------


def test_get_prints_one_value_exactly(cli: Cli) -> None:
    text = " two  spaces\tü [bold]x[/bold] \x1b[31m" + "y" * 500
    cli("set", "ai", f"text={text}", "empty=", "--create")
    assert cli("get", "ai", "text").out == f"{text}\n"
    assert cli("get", "ai", "empty").out == "\n"
    assert cli("get", "ai", "text", "--json").document["value"] == text
    assert "\x1b" not in cli("get", "ai").out


def test_null_the_empty_text_and_what_is_not_stored_are_told_apart(cli: Cli, bound: AISettings) -> None:
    cli("set", "ai", "model", "--null")
    cli("set", "ai", "hint=", "--create")
    rows = {row["key"]: row for row in cli("list", "ai", "--json").document["keys"]}
    assert (rows["model"]["value"], rows["model"]["stored"]) == (None, True)
    assert (rows["tags"]["value"], rows["tags"]["stored"]) == (None, False)
    assert cli("get", "ai", "model").out == "NULL\n"
    default = cli("get", "ai", "tags")
    assert (default.code, default.out) == (1, "")
    assert "default applies" in default.err
    told = cli("get", "ai", "tags", "--json")
    assert (told.code, told.document["stored"]) == (1, False)


def test_unknown_names_are_refused_with_their_likeness(cli: Cli) -> None:
    cli("set", "search", "size=3", "--create")
    for arguments in (("get", "serach"), ("list", "serach"), ("history", "serach"), ("audit", "verify", "serach")):
        ran = cli(*arguments)
        assert (ran.code, "did you mean 'search'?" in ran.err) == (2, True), arguments
    for arguments in (("get", "search", "sise"), ("history", "search", "sise"), ("delete", "search", "sise")):
        ran = cli(*arguments)
        assert (ran.code, "did you mean 'size'?" in ran.err) == (2, True), arguments


def test_list_names_every_service_with_its_head(cli: Cli) -> None:
    cli("set", "ai", "a=1", "--create", "--by", "ann")
    cli("set", "ai", "a=2", "b=3", "--create", "--by", "bob")
    cli("set", "search", "size=3", "--create", "--by", "cyd")
    found = cli("list", "--json").document["services"]
    assert [(row["service"], row["revision"], row["keys"], row["by"]) for row in found] == [
        ("ai", 2, 2, "bob"),
        ("search", 1, 1, "cyd"),
    ]
    assert re.search(r"^ai +2 +2 +20\d\d-.*Z +bob", cli("list").out, re.MULTILINE)


def test_history_is_newest_first_and_outlives_a_key(cli: Cli) -> None:
    for number in range(3):
        cli("set", "ai", f"a={number}", "--create")
    cli("delete", "ai", "a", "--reason", "tidy")
    rows = cli("history", "ai", "a", "--json").document["changes"]
    assert [(row["op"], row["old"], row["new"]) for row in rows] == [
        ("delete", "2", None),
        ("update", "1", "2"),
        ("update", "0", "1"),
        ("insert", None, "0"),
    ]
    assert rows[0]["reason"] == "tidy"
    cut = cli("history", "ai", "--limit", "3", "--json").document
    assert (len(cut["changes"]), cut["has_older"]) == (3, True)
    assert cli("history", "ai", "--limit", "4", "--json").document == {
        "service": "ai",
        "changes": rows,
        "has_older": False,
    }


def break_threshold(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO hotconfig.service_configs (service, key, value) VALUES ('ai', 'threshold', '7.25')"
            " ON CONFLICT DO NOTHING"
        )


def test_list_marks_a_value_that_no_class_takes(cli: Cli, bound: AISettings, migrated_url: str) -> None:
    cli("set", "ai", "model=x")
    assert "MISFIT" not in cli("list", "ai").out
    break_threshold(migrated_url)
    rows = {row["key"]: row["misfit"] for row in cli("list", "ai", "--json").document["keys"]}
    assert rows.pop("threshold") == "must be at most 1"
    assert set(rows.values()) == {None}
    shown = cli("list", "ai").out.splitlines()
    assert shown[0].split()[-1] == "MISFIT"
    assert [line.split()[0] for line in shown if line.rstrip().endswith("must be at most 1")] == ["threshold"]


def test_list_says_that_a_stored_key_is_none_of_any_class(cli: Cli, bound: AISettings) -> None:
    assert cli("list", "ai").err == ""
    cli("set", "ai", "treshold=0.9", "--create")
    said = "no registered class has the key 'treshold': programs ignore it"
    assert cli("list", "ai").err == f"note: {said}\n"
    assert cli("list", "ai", "--json").document["notes"] == [said]


def test_tables_are_not_folded_when_a_program_reads_them(cli: Cli) -> None:
    cli("set", "ai", f"long={'x' * 190}", "--create", "--reason", "r" * 300)
    assert len(cli("history", "ai").out.splitlines()) == 2


# -- migrate, audit ---------------------------------------------------------------------------------------------


def test_migrate_checks_applies_and_is_done(here: Cli, database_url: str) -> None:
    at = ("--database-url", database_url)
    pending = here("migrate", "--check", *at)
    assert (pending.code, "pending 0001" in pending.out) == (1, True)
    assert here("list", *at).code == 3
    assert here("migrate", *at).code == 0
    assert here("migrate", "--check", *at).code == 0
    assert here("migrate", "--json", *at).document["applied"] == []


def test_the_printed_sql_makes_the_same_tables(here: Cli, database_url: str, tmp_path: Path) -> None:
    script = tmp_path / "migrate.sql"
    printed = here("migrate", "--sql", "--schema", "other")
    script.write_text(printed.out, encoding="utf-8")
    body = re.sub(r"^\\.*$", "", printed.out, flags=re.MULTILINE)  # psql's own commands
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(body.encode())
    assert here("migrate", "--check", "--database-url", database_url, "--schema", "other").code == 0


def test_an_untouched_chain_verifies(cli: Cli) -> None:
    cli("set", "ai", "a=1", "b=ü", "--create")
    cli("set", "ai", "hint=x", "--create", "--sensitive")
    cli("delete", "ai", "a")
    ran = cli("audit", "verify", "--json")
    assert ran.code == 0
    assert ran.document["intact"]
    assert ran.document["services"][0]["changes"] == 4


@pytest.mark.parametrize(
    ("forgery", "told"),
    [
        ("UPDATE hotconfig.config_history SET new_value = '9' WHERE revision = 1", "revision 1"),
        ("UPDATE hotconfig.config_history SET changed_by = 'bob' WHERE revision = 2", "revision 2"),
        ("DELETE FROM hotconfig.config_history WHERE revision = 2", "is missing or out of order"),
        ("UPDATE hotconfig.heads SET revision = 9", "the head does not follow"),
        ("UPDATE hotconfig.service_configs SET value = '9'", "the stored value of key 'a'"),
        ("DELETE FROM hotconfig.service_configs", "the stored value of key 'a'"),
    ],
)
def test_a_forgery_behind_the_triggers_back_is_named(cli: Cli, migrated_url: str, forgery: str, told: str) -> None:
    for number in range(3):
        cli("set", "ai", f"a={number}", "--create")
    with psycopg.connect(migrated_url) as connection:
        connection.execute("SET session_replication_role = replica")  # no triggers
        connection.execute(forgery.encode())
    ran = cli("audit", "verify")
    assert ran.code == 1
    assert "BROKEN" in ran.out
    assert told in ran.out


# -- doctor -----------------------------------------------------------------------------------------------------


def states(ran: Ran) -> dict[str, str]:
    return {check["check"]: check["state"] for check in ran.document["checks"]}


def test_doctor_finds_no_problem_where_there_is_none(cli: Cli) -> None:
    ran = cli("doctor", "--json")
    assert ran.code == 0
    found = states(ran)
    assert found.pop("role") == "note"  # the tests' role is a superuser
    assert found.pop("durability") == "warning"  # and their server was told not to care
    assert found.pop("redis-py") in ("ok", "note")
    assert found.pop("relay") == "note"  # nobody relays here
    assert set(found.values()) == {"ok"}
    (stored,) = [one["found"] for one in ran.document["checks"] if one["check"] == "stored values"]
    assert "validators written in Python are not asked" in stored
    assert {"libpq", "PostgreSQL", "schema", "reading", "writing", "eviction", "Redis round trip"} <= found.keys()
    assert cli("list", "--json").document["services"] == []


def test_doctor_names_a_stored_value_that_no_class_takes(cli: Cli, bound: AISettings, migrated_url: str) -> None:
    assert states(cli("doctor", "--json"))["stored values"] == "ok"
    break_threshold(migrated_url)
    ran = cli("doctor", "--json")
    assert ran.code == 1
    (problem,) = [one for one in ran.document["checks"] if one["state"] == "problem"]
    assert problem["check"] == "stored values"
    assert problem["found"] == "service 'ai': key 'threshold' must be at most 1"
    assert "hotconfig set ai threshold=VALUE" in problem["advice"]
    assert "7.25" not in ran.out
    assert states(cli("doctor", "--write", "--json"))["commit and attribute"] == "ok"


def test_doctor_times_a_commit_through_everything_when_asked(cli: Cli) -> None:
    ran = cli("doctor", "--write", "--json")
    assert ran.code == 0
    assert states(ran)["commit and attribute"] == "ok"
    assert cli("history", "hotconfig.doctor", "--json").document["changes"]


def test_the_doctors_own_service_is_in_no_list_and_no_hint(cli: Cli) -> None:
    cli("set", "search", "size=3", "--create")
    cli("doctor", "--write")
    assert [row["service"] for row in cli("list", "--json").document["services"]] == ["search"]
    assert "there are: search." in cli("get", "zzz").err
    assert "hotconfig.doctor" not in cli("get", "hotconfig.docto").err


@pytest.mark.parametrize(
    ("options", "check", "advice"),
    [
        (["--database-url", UNREACHABLE_DATABASE], "PostgreSQL", "127.0.0.1:1"),
        (["--database-url", ""], "PostgreSQL", "HOTCONFIG_DATABASE_URL"),
        (["--database-url", "mysql://ann:hush@db"], "PostgreSQL", "postgresql://"),
        (["--schema", "elsewhere"], "schema", "hotconfig migrate"),
        (["--redis-url", UNREACHABLE_REDIS], "Redis", "127.0.0.1:1"),
        (["--redis-url", UNREACHABLE_REDIS], "Redis", "Start it, or correct HOTCONFIG_REDIS_URL"),
        (["--redis-url", "redis://ann:hu/sh@cache"], "Redis", "%2F"),
        (["--redis-url", "redis://ann:hu/sh@cache"], "Redis", "--redis-url or HOTCONFIG_REDIS_URL"),
        (["--redis-url", "http://ann:hush@cache"], "Redis", "redis://"),
    ],
)
def test_doctor_names_the_problem_and_the_way_out(cli: Cli, options: list[str], check: str, advice: str) -> None:
    ran = cli("doctor", "--json", *options)
    assert ran.code == 1
    (problem,) = [one for one in ran.document["checks"] if one["state"] == "problem"]
    assert problem["check"] == check
    assert advice in problem["advice"]
    assert "hush" not in ran.out


def test_doctor_tells_a_reader_from_a_writer_from_a_stranger(cli: Cli, migrated_url: str) -> None:
    def look(role: str) -> Ran:
        url = re.sub("//[^@]*@", f"//{role}:x@", migrated_url)
        return cli("doctor", "--json", "--database-url", url)

    with psycopg.connect(migrated_url, autocommit=True) as connection:
        try:
            for role in ("cli_stranger", "cli_reader", "cli_writer"):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
            connection.execute("GRANT USAGE ON SCHEMA hotconfig TO cli_stranger")
            connection.execute("GRANT SELECT ON hotconfig.migrations TO cli_stranger")
            connection.execute("SELECT hotconfig.grant_reader('cli_reader'), hotconfig.grant_writer('cli_writer')")
            stranger, reader, writer = look("cli_stranger"), look("cli_reader"), look("cli_writer")
        finally:
            for role in ("cli_stranger", "cli_reader", "cli_writer"):
                connection.execute(f"DROP OWNED BY {role}".encode())
                connection.execute(f"DROP ROLE {role}".encode())
    assert (stranger.code, states(stranger)["reading"]) == (1, "problem")
    assert (reader.code, states(reader)["reading"], states(reader)["writing"]) == (0, "ok", "note")
    assert (writer.code, states(writer)["reading"], states(writer)["writing"]) == (0, "ok", "ok")
    assert "rights" not in states(writer)


def test_doctor_sees_what_redis_forbids(cli: Cli, redis_url: str) -> None:
    users = {
        "cli_deaf": ["on", ">x", "+@all", "-@pubsub", "resetchannels"],
        "cli_herald": ["on", ">x", "+@all", "-subscribe", "-psubscribe", "resetchannels", "&config:*"],
        "cli_mute": ["on", ">x", "+@all", "-publish", "-config", "resetchannels", "&config:hotconfig.doctor:*"],
    }
    with redis.Redis.from_url(redis_url) as client:
        try:
            for name, rules in users.items():
                client.execute_command("ACL", "SETUSER", name, *rules)
            deaf, herald, mute = (
                cli("doctor", "--json", "--redis-url", re.sub("//[^@]*@", f"//{name}:x@", redis_url)) for name in users
            )
        finally:
            client.execute_command("ACL", "DELUSER", *users)
    assert (deaf.code, states(deaf)["subscribing"]) == (1, "problem")
    assert (herald.code, states(herald)["subscribing"], states(herald)["publishing"]) == (0, "warning", "ok")
    assert "can announce and not follow" in herald.out
    assert (mute.code, states(mute)["subscribing"], states(mute)["publishing"]) == (0, "ok", "note")
    assert states(mute)["eviction"] == "note"


def test_the_documented_user_of_a_service_is_no_problem_to_the_doctor_and_watch_says_what_it_lacks(
    cli: Cli, bound: AISettings, redis_url: str
) -> None:
    rules = "resetchannels &config:ai:* +subscribe +psubscribe +unsubscribe +punsubscribe +ping +client"
    assert f" {rules}\n" in (Path(__file__).parents[2] / "docs" / "redis.md").read_text(encoding="utf-8")
    url = re.sub("//[^@]*@", "//cli_service:x@", redis_url)
    with redis.Redis.from_url(redis_url) as client:
        try:
            client.execute_command("ACL", "SETUSER", "cli_service", "on", ">x", *rules.split())
            ran, watched = cli("doctor", "--json", "--redis-url", url), cli("watch", "--redis-url", url)
            asked = cli("doctor", "ai", "search", "--json", "--redis-url", url)
            client.execute_command("ACL", "SETUSER", "cli_service", "resetchannels", "&config:*")
            of_all = cli("doctor", "ai", "--json", "--redis-url", url)
        finally:
            client.execute_command("ACL", "DELUSER", "cli_service")
    assert (ran.code, states(ran)["subscribing"], states(ran)["publishing"]) == (0, "note", "note")
    assert "&config:hotconfig.doctor:*" in ran.out
    assert "Redis round trip" not in states(ran)
    assert (states(asked)["following ai"], states(asked)["following search"], asked.code) == ("ok", "problem", 1)
    assert "&config:search:*" in asked.out
    assert (states(of_all)["subscribing"], states(of_all)["following ai"], of_all.code) == ("ok", "ok", 0)
    assert watched.code == 3
    assert "To watch every service this user needs &config:*" in watched.err


MAKE_RECORD_CHANGE = (
    "CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON hotconfig.service_configs "
    "FOR EACH ROW EXECUTE FUNCTION hotconfig.record_change()"
)


@pytest.mark.parametrize(
    ("meddle", "mend"),
    [
        (
            "DROP TRIGGER record_change ON hotconfig.service_configs",
            MAKE_RECORD_CHANGE,
        ),
        (
            "ALTER TABLE hotconfig.config_history DISABLE TRIGGER append_only",
            'ALTER TABLE "hotconfig".config_history ENABLE TRIGGER append_only',
        ),
    ],
)
def test_a_trigger_that_is_missing_or_disabled_is_a_problem(
    cli: Cli, migrated_url: str, meddle: str, mend: str
) -> None:
    cli("set", "ai", "k=1", "--create")
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(meddle.encode())
        doctor, audit, told = cli("doctor", "--json"), cli("audit", "verify", "--json"), cli("audit", "verify")
        connection.execute(mend.encode())
    assert (doctor.code, states(doctor)["triggers"]) == (1, "problem")
    (fault,) = audit.document["triggers"]
    assert (audit.code, audit.document["intact"], told.code) == (1, False, 1)
    assert fault in told.out
    assert "ai: intact" in told.out
    mended = cli("doctor", "--json")
    assert states(mended)["triggers"] == "ok"
    assert cli("audit", "verify", "--json").document["triggers"] == []


def test_a_write_without_its_trigger_is_an_error(cli: Cli, migrated_url: str) -> None:
    cli("set", "ai", "k=1", "--create")
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE hotconfig.service_configs DISABLE TRIGGER USER")
    ran = cli("set", "ai", "k=9")
    assert ran.code == 3
    assert "record_change of service_configs is missing or disabled" in ran.err
    assert cli("get", "ai", "k").out == "1\n"


def test_doctor_sees_that_there_is_no_signing_key(cli: Cli, migrated_url: str) -> None:
    assert states(cli("doctor", "--json"))["signing keys"] == "ok"
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("DELETE FROM hotconfig.signing_keys")
    ran = cli("doctor", "--json")
    assert (ran.code, states(ran)["signing keys"]) == (1, "problem")
    assert "rotate_signing_key()" in ran.out


def test_a_secret_that_was_written_by_hand_is_flagged_and_not_shown(
    cli: Cli, bound: AISettings, migrated_url: str
) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("INSERT INTO hotconfig.service_configs VALUES ('ai', 'secret', NULL, 'CANARY')")
    commands = ("get", "list", "history")
    for ran in [cli(name, "ai", *more) for name in commands for more in ((), ("--json",))]:
        assert ran.code == 0
        assert "CANARY" not in ran.out + ran.err
        assert "secret" in ran.out
    assert "holds a secret: delete it" in cli("list", "ai").out
    doctor = cli("doctor", "--json")
    assert (doctor.code, states(doctor)["stored values"]) == (1, "problem")
    assert "run: hotconfig delete ai secret" in doctor.out
    assert "CANARY" not in doctor.out


def test_schemas_that_no_class_registered_are_named_and_break_nothing(
    cli: Cli, bound: AISettings, migrated_url: str
) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO hotconfig.service_schemas (service, schema_hash, json_schema) VALUES
            ('bad name *', 'e1', '{}'), ('ai', 'e2', '"not an object"'),
            ('ai', 'e3', '{"properties": {"threshold": {"$ref": "file:///etc/passwd"}}}')
            """
        )
    doctor = cli("doctor", "--json")
    assert (doctor.code, states(doctor)["stored values"]) == (0, "ok")
    told = [one["found"] for one in doctor.document["checks"] if one["check"] == "registered schemas"]
    assert len(told) == 3
    assert "'bad name *' cannot name a service" in told[0]
    assert cli("list").code == cli("list", "ai").code == 0
    ran = cli("set", "ai", "threshold=5")
    assert (ran.code, "must be at most 1" in ran.err) == (2, True)
    ran = cli("set", "ai", "threshold=NaN")
    assert (ran.code, "must be at" in ran.err) == (2, True)
    ran = cli("set", "ai", "threshold=0.5")
    assert ran.code == 0
    assert "schema 'e2', registered by role" in ran.err


def test_doctor_warns_of_who_holds_the_lock_of_the_relay_and_is_none(cli: Cli, migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True, application_name="somebody") as holder:
        holder.execute("SELECT pg_advisory_lock(hashtext('hotconfig relay'), hashtext('hotconfig'))")
        ran = cli("doctor", "--json")
        (told,) = [one for one in ran.document["checks"] if one["check"] == "relay"]
        pid = holder.info.backend_pid
    assert (ran.code, told["state"]) == (0, "warning")
    assert "program 'somebody'" in told["found"]
    assert f"pg_terminate_backend({pid})" in told["advice"]


# -- watch ------------------------------------------------------------------------------------------------------


class Watching:
    """A ``hotconfig watch`` in a process of its own, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=self.out.extend, args=(process.stdout,)),
            threading.Thread(target=self.err.extend, args=(process.stderr,)),
        ]
        for reader in self._readers:
            reader.start()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        code = self.process.wait(timeout=10)
        for reader in self._readers:
            reader.join(timeout=10)
        return code


@contextmanager
def watching(eventually: Eventually, *arguments: str) -> Iterator[Watching]:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "hotconfig", "watch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watch = Watching(process)
        try:
            eventually(lambda: "Ctrl-C" in "".join(watch.err), 15, message="watch listens")
            yield watch
        finally:
            process.kill()


@pytest.mark.parametrize("with_redis", [True, False])
def test_watch_shows_every_change_once_in_order_until_ctrl_c(
    cli: Cli, migrated_url: str, eventually: Eventually, *, with_redis: bool
) -> None:
    cli("set", "ai", "a=0", "--create")
    with watching(eventually, "--json", *([] if with_redis else ["--redis-url", ""])) as watch:
        cli("set", "ai", "a=1", "--by", "ann", "--reason", "because")
        cli("set", "search", "hint=hush", "--create", "--sensitive")
        with psycopg.connect(migrated_url, autocommit=True) as connection:
            connection.execute("UPDATE hotconfig.service_configs SET value = '2' WHERE key = 'a'")
        cli("set", "ai", "a=3")
        eventually(lambda: len(watch.out) == 4, 15, message="four revisions")
        assert watch.interrupt() == 130
    told = [json.loads(line) for line in watch.out]
    assert [(one["revision"], one["changes"]) for one in told if one["service"] == "ai"] == [
        (2, [{"key": "a", "value": "1"}]),
        (3, [{"key": "a", "value": "2"}]),
        (4, [{"key": "a", "value": "3"}]),
    ]
    first = next(one for one in told if one["revision"] == 2)
    assert (first["by"], first["reason"]) == ("ann", "because")
    assert [one["changes"] for one in told if one["service"] == "search"] == [[{"key": "hint", "withheld": True}]]
    assert "Traceback" not in "".join(watch.err)


def test_watch_shows_only_the_named_service_to_people(cli: Cli, eventually: Eventually) -> None:
    cli("set", "ai", "a=0", "--create")
    with watching(eventually, "ai") as watch:
        cli("set", "search", "size=1", "--create")
        cli("set", "ai", "a=1", "--by", "ann", "--reason", "because")
        eventually(lambda: bool(watch.out), 15)
        assert watch.interrupt() == 130
    (line,) = watch.out
    assert re.fullmatch(r"20\S+ \S+Z  ai 2  a = 1  by ann  \(because\)\n", line)


def test_watch_goes_on_while_redis_is_away(cli: Cli, own_valkey: EmbeddedValkey, eventually: Eventually) -> None:
    cli("set", "ai", "a=0", "--create")
    with watching(eventually, "--json", "--redis-url", own_valkey.url) as watch:
        own_valkey.stop()
        eventually(lambda: "Redis" in "".join(watch.err[1:]), 15, message="the loss is told")
        cli("set", "ai", "a=1")
        eventually(lambda: bool(watch.out), 15, message="PostgreSQL is looked at")
        assert watch.interrupt() == 130
    assert [json.loads(line)["revision"] for line in watch.out] == [2]


def test_watch_begins_while_redis_is_away(cli: Cli, eventually: Eventually) -> None:
    cli("set", "ai", "a=0", "--create")
    with watching(eventually, "--json", "--redis-url", "redis://127.0.0.1:1") as watch:
        assert "looking into PostgreSQL" in "".join(watch.err)
        cli("set", "ai", "a=1")
        eventually(lambda: bool(watch.out), 15, message="PostgreSQL is looked at")
        assert watch.interrupt() == 130
    assert [json.loads(line)["revision"] for line in watch.out] == [2]


# -- relay ----------------------------------------------------------------------------------------------------------


@contextmanager
def relaying(*arguments: str) -> Iterator[Watching]:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "hotconfig", "relay", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Watching(process)
        finally:
            process.kill()


@pytest.mark.parametrize(("end", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_relay_announces_what_psql_commits_until_it_is_ended(
    cli: Cli, bound: AISettings, migrated_url: str, eventually: Eventually, end: signal.Signals, code: int
) -> None:
    with relaying("--json") as relay:
        eventually(lambda: "leading" in "".join(relay.out), 15)
        doctor = {check["check"]: check for check in cli("doctor", "--json").document["checks"]}
        assert doctor["relay"]["state"] == "ok"
        with psycopg.connect(migrated_url, autocommit=True) as connection:
            connection.execute("INSERT INTO hotconfig.service_configs VALUES ('ai', 'threshold', NULL, '0.5')")
        eventually(lambda: bound.threshold == 0.5, 5)
        eventually(lambda: "announced" in "".join(relay.out), 5)
        relay.process.send_signal(end)
        assert relay.end() == code
    told = [json.loads(line) for line in relay.out]
    assert [one["event"] for one in told if one["event"] != "deaf"] == ["leading", "announced"]
    assert (told[-1]["service"], told[-1]["revision"]) == ("ai", 1)
    assert relay.err == []
    doctor = {check["check"]: check for check in cli("doctor", "--json").document["checks"]}
    assert (doctor["relay"]["state"], doctor["relay"]["found"]) == ("note", "nobody relays")


def test_a_second_relay_says_that_it_waits(cli: Cli, eventually: Eventually) -> None:
    with relaying() as first:
        eventually(lambda: "leading: commits" in "".join(first.out), 15)
        with relaying() as second:
            eventually(lambda: "waiting: another relay leads" in "".join(second.out), 15)
            first.process.send_signal(signal.SIGTERM)
            assert first.end() == 0
            eventually(lambda: "leading: commits" in "".join(second.out), 15)
            second.process.send_signal(signal.SIGTERM)
            assert second.end() == 0
    assert len(second.out) == 2, "that it waits is said once"


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--redis-url", ""], 3, "set HOTCONFIG_REDIS_URL"),
        (["--database-url", UNREACHABLE_DATABASE], 4, "did not answer"),
        (["--schema", "elsewhere"], 3, "hotconfig migrate"),
    ],
)
def test_a_relay_that_cannot_work_says_why(cli: Cli, options: list[str], code: int, told: str) -> None:
    ran = cli("relay", *options)
    assert ran.code == code
    assert told in ran.err
    assert "hush" not in ran.err + ran.out


# -- errors and the entry point -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["list"], 3, "ConfigurationError"),
        (["list", "--database-url", UNREACHABLE_DATABASE], 4, "DatabaseUnavailableError"),
        (["list", "--database-url", "mysql://ann:hush@db/app"], 3, "ConfigurationError"),
        (["migrate", "--sql", "--schema", "Bad Name"], 3, "ConfigurationError"),
        (["get", "a b", "--database-url", UNREACHABLE_DATABASE], 2, "DeclarationError"),
        (["set", "ai", "a", "b", "c"], 2, "UsageError"),
        (["nonsense"], 2, "UsageError"),
        (["get"], 2, "UsageError"),
        (["get", "ai", "--nonsense"], 2, "UsageError"),
        (["history", "ai", "--limit", "none"], 2, "UsageError"),
    ],
)
def test_errors_have_their_code_and_are_json_when_asked(here: Cli, arguments: list[str], code: int, kind: str) -> None:
    ran = here(*arguments, "--json")
    assert (ran.code, ran.error["type"], ran.out) == (code, kind, "")
    plain = here(*arguments)
    assert plain.code == code
    assert plain.err
    assert "Traceback" not in plain.err
    assert "hush" not in ran.err + plain.err


@pytest.mark.parametrize("arguments", [["--check", "--sql"], ["--after", "0"], ["--check", "--after", "1"]])
def test_options_of_migrate_that_contradict_each_other_are_refused(here: Cli, arguments: list[str]) -> None:
    ran = here("migrate", *arguments, "--json", "--database-url", UNREACHABLE_DATABASE)
    assert (ran.code, ran.error["type"], ran.out) == (2, "UsageError", "")
    assert "--sql" in ran.error["message"]


def test_wrong_credentials_are_a_matter_of_configuration(here: Cli, migrated_url: str) -> None:
    ran = here("list", "--json", "--database-url", re.sub(":[^:@]*@", ":hush@", migrated_url))
    assert (ran.code, ran.error["type"]) == (3, "AccessDeniedError")
    assert "hush" not in ran.err


def test_missing_tables_are_told_with_the_command_that_makes_them(here: Cli, database_url: str) -> None:
    ran = here("list", "--json", "--database-url", database_url)
    assert (ran.code, ran.error["type"]) == (3, "SchemaMissingError")
    assert "hotconfig migrate" in ran.error["message"]


COMMANDS = ["migrate", "get", "list", "history", "set", "delete", "watch", "relay", "audit verify", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_shared_options(here: Cli, command: str) -> None:
    ran = here(*command.split(), "--help")
    assert ran.code == 0
    for option in ("--json", "--database-url", "--redis-url", "--schema"):
        assert option in ran.out
    for variable in ("HOTCONFIG_DATABASE_URL", "HOTCONFIG_REDIS_URL", "HOTCONFIG_SCHEMA"):
        assert variable in ran.out


def test_help_never_shows_a_url_from_the_environment(cli: Cli, migrated_url: str) -> None:
    assert migrated_url not in cli("list", "--help").out


def test_the_demo_does_not_take_its_servers_from_the_environment(here: Cli) -> None:
    ran = here("demo", "--help")
    assert ran.code == 0
    assert "--once" in ran.out
    assert "HOTCONFIG_" not in ran.out


def test_help_explains_the_exit_codes() -> None:
    ran = program("--help")
    assert ran.code == 0
    assert "Exit codes" in ran.out
    assert "somebody else wrote first" in ran.out
    assert "\x1b" not in ran.out


def test_the_version_is_printed() -> None:
    assert program("--version").out.startswith("hotconfig ")


@pytest.mark.parametrize("missing", ["typer", "rich", "jsonschema"])
def test_without_the_extra_the_install_line_is_printed(missing: str) -> None:
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {missing!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from hotconfig.__main__ import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.count("\n") == 1
    assert "pip install 'hotconfig[cli]'" in ran.stderr


def test_without_libpq_the_install_line_is_printed_and_doctor_says_so() -> None:
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'psycopg':\n"
        "            raise ImportError('no pq wrapper available')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from hotconfig.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments, "--database-url", UNREACHABLE_DATABASE]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    listed, examined = run("list"), run("doctor")
    assert (listed.returncode, examined.returncode) == (3, 1)
    assert "pip install 'hotconfig[binary]'" in listed.stderr
    assert "pip install 'hotconfig[binary]'" in examined.stdout
    assert "Traceback" not in listed.stderr + examined.stderr


@pytest.mark.parametrize("arguments", [["get", "ai", "a"], ["list", "ai"], ["list", "--json"], ["migrate", "--sql"]])
def test_a_reader_that_went_away_ends_the_command_quietly(cli: Cli, arguments: list[str]) -> None:
    cli("set", "ai", "a=1", "--create")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hotconfig", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
