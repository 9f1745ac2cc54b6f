"""Every way to make a process: the child is live without a call, the parent loses nothing."""

from __future__ import annotations

import json
import socket
import subprocess
from functools import partial

import pytest
import redis
from pydantic import BaseModel

import hotconfig
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.migrate import migrate
from tests.faults.running import PATIENCE_S, Log, complaints, environment, python, running
from tests.support.servers import freeze, thaw
from tests.support.waiting import eventually


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


def line_of(program: subprocess.Popen[bytes]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().decode().strip()


def say(program: subprocess.Popen[bytes]) -> None:
    assert program.stdin is not None
    program.stdin.write(b"\n")
    program.stdin.flush()


@pytest.mark.parametrize(
    ("way", "children", "started_anew"),
    [
        ("fork", 2, False),
        ("nested", 2, False),
        ("thread", 1, False),
        ("exit", 1, False),
        ("spawn", 2, True),
        ("forkserver", 3, True),  # the server is one of them
        ("subprocess", 0, False),
    ],
)
def test_every_child_hears_every_change_and_so_does_the_parent(
    migrated_url: str,
    redis_url: str,
    writer: hotconfig.HotConfig,
    log: Log,
    way: str,
    children: int,
    started_anew: bool,
) -> None:
    ours = writer.bind(Served)
    variables = environment(migrated_url, redis_url, SERVED_LOG=str(log.path))
    with running(python("tests.faults.programs.family", way), variables) as program:
        assert line_of(program) == "ready"
        say(program)
        assert line_of(program) == "forked"
        eventually(lambda: len(log.born()) > children, PATIENCE_S)
        for number in (1, 2, 3):
            writer.store.set(ours, number=number, by="a test")
            eventually(partial(log.all_told, log.born(), number), PATIENCE_S)
        output, errors = program.communicate(timeout=PATIENCE_S)
    ended = json.loads(output)
    assert set(ended["codes"]) == {0}
    assert complaints(errors) == []
    assert program.returncode == 0
    assert all(told == [1, 2, 3] for told in log.told().values()), log.told()
    parents = [entry for entry in log.lines("told") if entry["pid"] == program.pid]
    assert [entry["connection_failures"] + entry["read_failures"] for entry in parents] == [0, 0, 0]
    assert len({entry["reads"] for entry in parents}) == 1, "the parent heard the news, and never had to ask"
    if not started_anew:
        assert ended["opened"] == 0
        assert ended["threads"] == ["MainThread", "hotconfig-line", "hotconfig-listener", "hotconfig-reading"]


def test_fifty_forks_under_a_stream_of_changes_leave_nothing_behind(
    migrated_url: str, redis_url: str, log: Log
) -> None:
    variables = environment(migrated_url, redis_url, SERVED_LOG=str(log.path))
    with running(python("tests.faults.programs.family", "storm"), variables) as program:
        assert line_of(program) == "ready"
        say(program)
        assert line_of(program) == "forked", program.stderr and program.stderr.read()
        output, errors = program.communicate(timeout=PATIENCE_S)
    ended = json.loads(output)
    assert ended["codes"] == [0] * 50, list(log.lines("failed"))
    assert ended["opened"] <= 2, "the connections that write, and nothing else"
    assert set(ended["threads"]) == {"MainThread", "hotconfig-line", "hotconfig-listener", "hotconfig-reading"}
    assert complaints(errors) == []
    heard = log.told()[program.pid]
    assert heard == sorted(set(heard)), "the parent heard each change once and in order"


def test_a_child_forked_while_postgresql_was_being_read_and_frozen_is_live_when_it_thaws(
    own_postgres: EmbeddedPostgres, redis_url: str, log: Log
) -> None:
    migrate(own_postgres.url)
    variables = environment(own_postgres.url, redis_url, SERVED_LOG=str(log.path))
    with hotconfig.HotConfig(own_postgres.url, redis_url) as writer:
        ours = writer.bind(Served)
        with running(python("tests.faults.programs.family", "exit"), variables) as program:
            assert line_of(program) == "ready"
            freeze(own_postgres)
            try:
                with redis.Redis.from_url(redis_url) as stranger:
                    stranger.publish("config:served:number", "77")  # a hint: whoever hears it asks PostgreSQL
                say(program)
                assert line_of(program) == "forked"
                eventually(lambda: len(log.born()) == 2, PATIENCE_S)
            finally:
                thaw(own_postgres)
            writer.store.set(ours, number=1, by="a test")
            eventually(partial(log.all_told, log.born(), 1), PATIENCE_S)
            output, errors = program.communicate(timeout=PATIENCE_S)
    assert json.loads(output)["codes"] == [0]
    assert b"Traceback" not in errors, "that PostgreSQL does not answer is logged, and is all that may be"


def test_a_child_forked_while_redis_was_being_connected_to_is_live_by_postgresqls_own_notifications(
    migrated_url: str, writer: hotconfig.HotConfig, log: Log
) -> None:
    ours = writer.bind(Served)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts and says nothing
        redis_url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        variables = environment(migrated_url, redis_url, SERVED_LOG=str(log.path))
        with running(python("tests.faults.programs.family", "nested"), variables) as program:
            assert line_of(program) == "ready"
            say(program)
            assert line_of(program) == "forked"
            eventually(lambda: len(log.born()) == 3, PATIENCE_S)
            for number in (1, 2):
                writer.store.set(ours, number=number, by="a test")
                eventually(partial(log.all_told, log.born(), number), PATIENCE_S)
            output, errors = program.communicate(timeout=PATIENCE_S)
    assert json.loads(output)["codes"] == [0]
    assert b"Traceback" not in errors


def test_a_child_forked_while_every_lock_was_held_can_use_everything(
    migrated_url: str, redis_url: str, log: Log
) -> None:
    variables = environment(migrated_url, redis_url, SERVED_LOG=str(log.path))
    with running(python("tests.faults.programs.family", "locks"), variables) as program:
        assert line_of(program) == "ready"
        say(program)
        assert line_of(program) == "forked"
        eventually(lambda: log.all_told(log.born(), 1), PATIENCE_S)
        output, errors = program.communicate(timeout=PATIENCE_S)
    assert json.loads(output)["codes"] == [0], list(log.lines("failed"))
    assert complaints(errors) == []
