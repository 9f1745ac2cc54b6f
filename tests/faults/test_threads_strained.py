"""The interpreter's lock held, the process stopped, no descriptors left: late, never lost, and told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from typing import Any

import pytest
import redis
from pydantic import BaseModel

import hotconfig
from tests.faults.running import PATIENCE_S, environment, python, running
from tests.integration.settings import write_by_hand


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


def heard(program: subprocess.Popen[bytes]) -> Any:
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line, program.stderr and program.stderr.read().decode()
    return json.loads(line)


def hang_up_on_subscribers(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def test_a_change_while_the_interpreters_lock_is_held_is_late_and_the_lag_is_told(
    migrated_url: str, redis_url: str, writer: hotconfig.HotConfig
) -> None:
    ours = writer.bind(Served)
    with running(python("tests.faults.programs.strained", "gil"), environment(migrated_url, redis_url)) as program:
        assert heard(program) == {"holding": True}
        writer.store.set(ours, number=1, by="a test")
        ended = heard(program)
        _, errors = program.communicate(timeout=PATIENCE_S)
    assert (ended["held"], ended["number"]) == (0, 1)
    assert 1.0 < ended["lag_s"] < PATIENCE_S
    assert b"something held the interpreter's lock" in errors


@pytest.mark.parametrize("hung_up", [False, True])
def test_a_process_that_was_stopped_catches_up_when_it_goes_on(
    migrated_url: str, redis_url: str, writer: hotconfig.HotConfig, hung_up: bool
) -> None:
    ours = writer.bind(Served)
    with running(python("tests.faults.programs.strained", "stopped"), environment(migrated_url, redis_url)) as program:
        pid = heard(program)["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            if hung_up:
                hang_up_on_subscribers(redis_url)
                write_by_hand(migrated_url, "served", number="1")
            else:
                writer.store.set(ours, number=1, by="a test")
            threading.Event().wait(3.0)  # beyond every deadline of the news
        finally:
            os.kill(pid, signal.SIGCONT)
        ended = heard(program)
        program.communicate(timeout=PATIENCE_S)
    assert ended["number"] == 1
    assert ended["lag_s"] > 1.5


def test_without_descriptors_values_keep_coming_over_what_is_open_and_the_rest_recovers(
    migrated_url: str, redis_url: str
) -> None:
    variables = environment(migrated_url, redis_url)
    with running(python("tests.faults.programs.strained", "descriptors"), variables) as program:
        assert heard(program) == {"full": True}
        hang_up_on_subscribers(redis_url)
        write_by_hand(migrated_url, "served", number="1")
        refused = heard(program)
        assert refused["number"] == 1
        assert refused["refused"] in ("RetryableError", "DatabaseUnavailableError")
        assert heard(program) == {"number": 2}
        program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0


def test_descriptors_beyond_a_thousand_do_not_hinder_writing(migrated_url: str, redis_url: str) -> None:
    variables = environment(migrated_url, redis_url)
    with running(python("tests.faults.programs.strained", "many"), variables) as program:
        assert heard(program) == {"number": 3, "descriptors": True}
        _, errors = program.communicate(timeout=PATIENCE_S)
    assert (program.returncode, errors) == (0, b"")
