"""Starting while PostgreSQL is away, by each start policy; and how the last-known-good file gets its content."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import hotconfig
from hotconfig import Origin, State, Timing
from hotconfig.core.lastgood import Record, StartPolicy
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.address import describe
from hotconfig.postgres.migrate import migrate
from hotconfig.runtime.keeping import Shelf
from tests.integration.settings import BY, CANARY, AISettings, EmailSettings, Recorder, VaultSettings, write_by_hand
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
QUICK = Timing(poll_s=0.1, reconcile_s=0.2)

Client = Callable[..., AbstractContextManager[hotconfig.HotConfig]]


@pytest.fixture
def postgres(own_postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    migrate(own_postgres.url)
    return own_postgres


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def starting(postgres: EmbeddedPostgres, kept: Path) -> Client:
    """Make a client without Redis, not started."""

    @contextmanager
    def make(policy: StartPolicy = "last_known_good", *, timeout: float = 10.0) -> Any:
        client = hotconfig.HotConfig(postgres.url, timing=QUICK, start_policy=policy, last_known_good=kept)
        client.start(timeout)
        try:
            yield client
        finally:
            client.close()

    return make


def shelf(postgres_url: str, kept: Path) -> Shelf:
    return Shelf(kept, "hotconfig", describe(postgres_url))


def record(postgres_url: str, kept: Path, service: str = "ai") -> Record:
    return shelf(postgres_url, kept).read(service)


def fill(starting: Client, **values: object) -> hotconfig.Commit:
    """Let a process see some values and end."""
    with starting("fail") as client:
        ai = client.bind(AISettings)
        commit = client.store.update(ai, values, by=BY)
        client.wait_for(commit)
    return commit


# With PostgreSQL away ---------------------------------------------------------------------------------------


def test_a_start_without_postgresql_shows_the_last_known_good_and_converges(
    postgres: EmbeddedPostgres, starting: Client, caplog: pytest.LogCaptureFixture
) -> None:
    fill(starting, threshold=0.9)
    postgres.halt()
    with starting() as client:
        begun_s = time.monotonic()
        ai = client.bind(AISettings)
        assert time.monotonic() - begun_s < 5.0
        assert ai.threshold == 0.9
        status = client.status()
        service = status.services["ai"]
        assert (status.state, service.origin, service.shown_revision) == (State.STALE, Origin.LAST_KNOWN_GOOD, 1)
        assert status.verified_age_s is None
        assert service.confirmed_at is not None
        assert "showing the last known good revision 1, confirmed" in caplog.text
        assert client.healthy()
        assert client.ready()
        assert not client.ready(max_age_s=3600)
        told = Recorder[AISettings]()
        client.on_change(ai, told)

        postgres.restart()
        write_by_hand(postgres.url, "ai", model="gpt-5")
        (change,) = told.wait(1)
        assert (change.keys, change.rewound, ai.threshold) == (frozenset({"model"}), False, 0.9)
        eventually(lambda: client.status().state is State.READY, 15)
        confirmed = client.status().services["ai"]
        assert confirmed.origin is Origin.POSTGRESQL
        assert confirmed.confirmed_at is not None
        assert confirmed.confirmed_at > service.confirmed_at
        assert client.ready(max_age_s=3600)


def test_where_nothing_changed_meanwhile_nobody_is_told(postgres: EmbeddedPostgres, starting: Client) -> None:
    fill(starting, threshold=0.9)
    postgres.halt()
    with starting() as client:
        ai = client.bind(AISettings)
        told = Recorder[AISettings]()
        client.on_change(ai, told)
        postgres.restart()
        eventually(lambda: client.status().services["ai"].origin is Origin.POSTGRESQL, 15)
        assert told.changes == []


def test_an_older_backup_restored_meanwhile_wins_loudly(
    postgres: EmbeddedPostgres, starting: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(starting, threshold=0.1)
    data, backup = postgres.run_directory / "data", tmp_path / "backup"
    postgres.halt()
    subprocess.run(["cp", "-a", str(data), str(backup)], check=True)
    postgres.restart()
    fill(starting, threshold=0.9)
    postgres.halt()
    with starting() as client:
        ai = client.bind(AISettings)
        assert ai.threshold == 0.9
        told = Recorder[AISettings]()
        client.on_change(ai, told)
        subprocess.run(["rm", "-rf", str(data)], check=True)
        subprocess.run(["cp", "-a", str(backup), str(data)], check=True)
        postgres.restart()
        (change,) = told.wait(1)
        assert (change.rewound, change.revision, ai.threshold) == (True, 1, 0.1)
    assert "restored or failed over" in caplog.text


def test_sensitive_values_are_in_no_file_and_come_back_with_postgresql(
    postgres: EmbeddedPostgres, starting: Client, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with starting("fail") as client:
        vault = client.bind(VaultSettings)
        client.wait_for(client.store.set(vault, token_hint=CANARY, region="us", by=BY))
    assert all(CANARY.encode() not in path.read_bytes() for path in kept.iterdir())
    postgres.halt()
    with starting() as client:
        vault = client.bind(VaultSettings)
        assert (vault.region, vault.token_hint) == ("us", "none")
        assert client.status().services["vault"].withheld_keys == ("token_hint",)
        assert "not in the file, so at what lies below: token_hint" in caplog.text
        postgres.restart()
        eventually(lambda: vault.token_hint == CANARY, 15)
        assert client.status().services["vault"].withheld_keys == ()
    assert CANARY not in caplog.text


def test_defaults_stand_in_until_postgresql_answers(postgres: EmbeddedPostgres, starting: Client) -> None:
    fill(starting, threshold=0.9)
    postgres.halt()
    with starting("defaults") as client:
        ai = client.bind(AISettings)
        assert ai.threshold == 0.75
        status = client.status()
        assert (status.state, status.services["ai"].origin) == (State.STALE, Origin.DEFAULTS)
        assert client.ready()
        told = Recorder[AISettings]()
        client.on_change(ai, told)
        postgres.restart()
        (change,) = told.wait(1)
        assert (change.new.threshold, change.revision) == (0.9, 1)


def test_the_policy_fail_fails_though_there_is_a_file(postgres: EmbeddedPostgres, starting: Client) -> None:
    fill(starting, threshold=0.9)
    postgres.halt()
    with pytest.raises(hotconfig.DatabaseUnavailableError), starting("fail", timeout=1.0):
        pass


def test_postgresql_that_goes_away_between_start_and_bind_is_covered(
    postgres: EmbeddedPostgres, starting: Client
) -> None:
    fill(starting, threshold=0.9)
    with starting() as client:
        client.bind(EmailSettings)
        postgres.kill()
        assert client.bind(AISettings).threshold == 0.9


def tampered(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"0.9"', b'"0.1"'))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def made_newer(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b" 1 ", b" 2 ", 1))


def from_another_service(path: Path) -> None:
    other = path.with_name("email.lastgood")
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (tampered, "tampered"),
        (truncated, "truncated"),
        (made_newer, "newer format"),
        (from_another_service, "other service"),
        (Path.unlink, "missing"),
        (lambda path: path.chmod(0o666), "writable by others"),
    ],
)
def test_a_file_that_is_not_to_be_believed_is_refused_and_the_start_fails(
    postgres: EmbeddedPostgres,
    starting: Client,
    kept: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    reason: str,
) -> None:
    with starting("fail") as client:
        client.bind(EmailSettings)
        client.wait_for(client.store.set(client.bind(AISettings), threshold=0.9, by=BY))
    harm(kept / "ai.lastgood")
    postgres.halt()
    with starting() as client:
        with pytest.raises(hotconfig.DatabaseUnavailableError, match=rf"not used \({reason}\)") as caught:
            client.bind(AISettings, timeout=0.5)
        assert isinstance(caught.value.__cause__, hotconfig.LastKnownGoodError)
        assert caught.value.__cause__.reason == reason
        assert not client.ready()
        assert [each.levelno for each in caplog.records if f"({reason})" in each.message] == [logging.ERROR]
        assert client.bind(EmailSettings).max_retries == 3, "the file of another service is as good as ever"
        postgres.restart()
        assert client.bind(AISettings, timeout=20).threshold == 0.9


def test_values_that_the_class_does_not_accept_any_more_are_refused(
    postgres: EmbeddedPostgres, starting: Client
) -> None:
    @hotconfig.settings(service="ai")
    class Stricter(BaseModel):
        threshold: int = 1

    fill(starting, threshold=0.9)
    postgres.halt()
    with starting() as client, pytest.raises(hotconfig.DatabaseUnavailableError, match=r"invalid.*Stricter.*threshold"):
        client.bind(Stricter, timeout=0.5)


def test_a_wrong_password_fails_by_every_policy(postgres: EmbeddedPostgres, kept: Path) -> None:
    url = postgres.url.replace(postgres.password, "wrong")
    for policy in ("fail", "last_known_good", "defaults"):
        client = hotconfig.HotConfig(url, start_policy=policy, last_known_good=kept)
        with pytest.raises(hotconfig.AccessDeniedError):
            client.start()
        client.close()


@pytest.mark.parametrize("wrong", ["later", None])
def test_a_policy_that_does_not_exist_is_said_at_once(wrong: Any) -> None:
    with pytest.raises(hotconfig.UsageError, match="start_policy="):
        hotconfig.HotConfig("postgresql://x", start_policy=wrong)


def test_last_known_good_needs_a_directory() -> None:
    with pytest.raises(hotconfig.UsageError, match="HOTCONFIG_LAST_KNOWN_GOOD"):
        hotconfig.HotConfig("postgresql://x", start_policy="last_known_good")


def test_the_policy_comes_from_the_environment_too(
    postgres: EmbeddedPostgres, starting: Client, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(starting, threshold=0.9)
    postgres.halt()
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", postgres.url)
    monkeypatch.setenv("HOTCONFIG_START_POLICY", "last_known_good")
    monkeypatch.setenv("HOTCONFIG_LAST_KNOWN_GOOD", str(kept))
    with hotconfig.HotConfig.from_env() as client:
        assert client.bind(AISettings).threshold == 0.9


@pytest.mark.parametrize(
    ("name", "value"), [("HOTCONFIG_START_POLICY", CANARY), ("HOTCONFIG_LISTEN", CANARY)], ids=["policy", "listen"]
)
def test_a_variable_that_cannot_be_read_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", "postgresql://x")
    monkeypatch.setenv(name, value)
    with pytest.raises(hotconfig.ConfigurationError, match=name) as caught:
        hotconfig.HotConfig.from_env()
    assert CANARY not in str(caught.value)


# The file ---------------------------------------------------------------------------------------------------


def test_the_file_follows_changes_and_the_end(postgres: EmbeddedPostgres, starting: Client, kept: Path) -> None:
    with starting() as client:
        ai = client.bind(AISettings)
        eventually((kept / "ai.lastgood").exists)
        assert record(postgres.url, kept).head.revision == 0
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY))
        eventually(lambda: record(postgres.url, kept).head.revision == 1)
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    assert record(postgres.url, kept).texts == {"threshold": "0.9"}
    assert stat.S_IMODE((kept / "ai.lastgood").stat().st_mode) == 0o600
    assert client.status().counters["save_failures"] == 0


def test_a_rejected_change_does_not_get_into_the_file(postgres: EmbeddedPostgres, starting: Client, kept: Path) -> None:
    with starting() as client:
        ai = client.bind(AISettings)
        client.wait_for(client.store.set(ai, threshold=0.8, by=BY))
        write_by_hand(postgres.url, "ai", threshold="7")
        eventually(lambda: client.status().services["ai"].problems)
    assert record(postgres.url, kept).texts == {"threshold": "0.8"}


def test_a_storm_of_changes_costs_few_files(postgres: EmbeddedPostgres, starting: Client, kept: Path) -> None:
    with starting() as client:
        ai = client.bind(AISettings)
        begun_s = time.monotonic()
        for number in range(200):
            client.store.set(ai, threshold=number / 1000, by=BY)
        took_s = time.monotonic() - begun_s
        client.wait_for(200, settings=ai)
    saves = client.status().counters["saves"]
    assert isinstance(saves, int)
    assert 1 <= saves <= took_s + 4
    assert record(postgres.url, kept).head.revision == 200


def test_a_directory_that_cannot_be_written_is_told_once_and_nothing_else_suffers(
    postgres: EmbeddedPostgres, starting: Client, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept.write_bytes(b"a file where the directory should be")
    with starting() as client:
        ai, email = client.bind(AISettings), client.bind(EmailSettings)
        eventually(lambda: client.status().counters["save_failures"])
        client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
        client.wait_for(client.store.set(email, max_retries=9, by=BY))
        assert client.status().state is State.READY
    assert ai.threshold == 0.9
    said = [each for each in caplog.records if "cannot be written" in each.message and each.levelno >= logging.ERROR]
    assert len(said) == 1


def test_processes_that_share_a_file_never_leave_half_of_it(kept: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from hotconfig.core.chain import Head; from hotconfig.core.lastgood import Record\n"
        "from hotconfig.runtime.keeping import Shelf\n"
        "shelf = Shelf(Path(sys.argv[1]), 'hotconfig', 'db')\n"
        "for n in range(150):\n"
        "    now = datetime.now(UTC)\n"
        "    texts = {f'k{i}': f'{sys.argv[2]} {n}' for i in range(500)}\n"
        "    shelf.write(Record(shelf.origins('ai'), '', Head(n, bytes(32)), texts, frozenset(), now, now))\n"
    )
    command = [sys.executable, "-c", program, str(kept)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    writers = [subprocess.Popen([*command, name], env=environment) for name in ("one", "two")]
    shared, seen = Shelf(kept, "hotconfig", "db"), set[str | None]()
    try:
        eventually((kept / "ai.lastgood").exists, 30)
        while any(writer.poll() is None for writer in writers):
            (value,) = set(shared.read("ai").texts.values())
            seen.add(value)
    finally:
        for writer in writers:
            assert writer.wait(60) == 0
    assert len(seen) > 10
    assert list(kept.iterdir()) == [kept / "ai.lastgood"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_process_that_dies_while_writing_leaves_the_file_as_it_was(
    postgres: EmbeddedPostgres, starting: Client, kept: Path, step: str
) -> None:
    fill(starting, threshold=0.9)
    program = (
        "import os, time, hotconfig\n"
        "from hotconfig import files\n"
        "from tests.integration.settings import AISettings\n"
        "client = hotconfig.HotConfig.from_env(); client.start(); ai = client.bind(AISettings)\n"
        f"os.{step} = lambda *_: os._exit(9)\n"
        "client.store.set(ai, threshold=0.1, by='a test'); time.sleep(30)\n"
    )
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": postgres.url,
        "HOTCONFIG_LAST_KNOWN_GOOD": str(kept),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }
    died = subprocess.run([sys.executable, "-c", program], check=False, env=environment, timeout=60)
    assert died.returncode == 9
    assert len(list(kept.glob(".*.partial"))) == 1
    postgres.halt()
    with starting() as client:
        assert client.bind(AISettings).threshold == 0.9
