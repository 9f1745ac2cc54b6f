"""The servers that people run: gunicorn with ``--preload``, uvicorn with workers, Celery with its prefork pool."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from pydantic import BaseModel

import hotconfig
from tests.faults.running import PATIENCE_S, Log, complaints, environment, python, running
from tests.support.ports import free_port
from tests.support.waiting import eventually


@hotconfig.settings(service="served")
class Served(BaseModel):
    number: int = 0


def ask(port: int) -> tuple[int, int]:
    """Which process answers, and with what number; (0, 0) if none does yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            answer = json.load(response)
    except OSError:
        return 0, 0
    return answer["pid"], answer["number"]


def gunicorn(port: int, *more: str) -> list[str]:
    return python(
        "gunicorn", "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}", "--log-level", "warning", *more,
        "tests.faults.programs.served:application",
    )  # fmt: skip


def gunicorn_on_gevent(port: int) -> list[str]:
    return gunicorn(port, "--worker-class", "gevent", "--config", "tests/faults/programs/patched.py")


def uvicorn(port: int) -> list[str]:
    return python(
        "uvicorn", "--workers", "2", "--port", str(port), "--log-level", "warning",
        "tests.faults.programs.served:asgi",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "parents"),
    [(gunicorn, 1), (gunicorn_on_gevent, 1), (uvicorn, 0)],
    ids=["gunicorn --preload", "gunicorn on gevent", "uvicorn --workers"],
)
def test_both_workers_answer_with_the_newest_value(
    migrated_url: str, redis_url: str, writer: hotconfig.HotConfig, log: Log, command: object, parents: int
) -> None:
    assert callable(command)
    port = free_port()
    errors = _serve(command(port), port, environment(migrated_url, redis_url, SERVED_LOG=str(log.path)), writer, log)
    assert complaints(errors) == []
    family = log.told()
    assert len(family) == 2 + parents
    assert set(map(tuple, family.values())) == {(1, 2, 3)}, "everybody heard everything, once"
    assert all(entry["connection_failures"] == entry["read_failures"] == 0 for entry in log.lines("told"))


def _serve(
    command: Sequence[str], port: int, variables: dict[str, str], writer: hotconfig.HotConfig, log: Log
) -> bytes:
    ours = writer.bind(Served)
    errors = log.path.with_name("errors")
    with errors.open("wb") as sink, running(command, variables, sink) as server:
        eventually(lambda: ask(port) != (0, 0), PATIENCE_S)
        workers = eventually(lambda: _two(log.born() - {server.pid}), PATIENCE_S)
        for number in (1, 2, 3):
            writer.store.set(ours, number=number, by="a test")
            eventually(partial(log.all_told, log.born(), number), PATIENCE_S)
        eventually(lambda: {ask(port)[1] for _ in range(5)} == {3}, PATIENCE_S)
        assert {pid for pid, _ in (ask(port) for _ in range(5))} <= workers
        server.terminate()
        server.wait(PATIENCE_S)
    return errors.read_bytes()


def _two(pids: set[int]) -> set[int]:
    return pids if len(pids) >= 2 else set()


def test_celerys_pool_carries_out_tasks_with_the_newest_value(
    migrated_url: str, redis_url: str, writer: hotconfig.HotConfig, log: Log, tmp_path: Path
) -> None:
    from celery import Celery

    broker = redis_url.rsplit("/", 1)[0] + "/1"
    variables = environment(migrated_url, redis_url, SERVED_LOG=str(log.path), CELERY_BROKER=broker)
    command = python(
        "celery", "--app", "tests.faults.programs.tasks", "worker", "--pool", "prefork", "--concurrency", "2",
        "--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    ours = writer.bind(Served)
    with (tmp_path / "errors").open("wb") as sink, running(command, variables, sink) as worker:
        eventually(lambda: _two(log.born() - {worker.pid}), PATIENCE_S)
        for number in (1, 2, 3):
            writer.store.set(ours, number=number, by="a test")
            eventually(partial(log.all_told, log.born(), number), PATIENCE_S)
        with Celery("tasks", broker=broker) as app:
            app.send_task("tests.faults.programs.tasks.look", ignore_result=True)
            eventually(lambda: list(log.lines("looked")), PATIENCE_S)
        (looked,) = log.lines("looked")
        assert (looked["number"], looked["pid"] == worker.pid) == (3, False)
        worker.terminate()
        worker.wait(PATIENCE_S)
    told = log.told()
    assert len(told) >= 3
    assert set(map(tuple, told.values())) == {(1, 2, 3)}
    errors = (tmp_path / "errors").read_text()
    assert "hotconfig" not in errors, "Celery itself warns of being run by root"
    assert "Traceback" not in errors
