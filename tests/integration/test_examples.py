"""The examples are run as a user would run them."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from lightkube.codecs import load_all_yaml

from hotconfig.postgres.truth import PostgresWriter
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.runtime.publishing import Publisher
from tests.faults.running import PATIENCE_S, environment, python, running
from tests.support.ports import free_port
from tests.support.waiting import eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_quickstart_shows_a_change_that_somebody_else_makes(migrated_url: str, redis_url: str) -> None:
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": migrated_url,
        "HOTCONFIG_REDIS_URL": redis_url,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, str(EXAMPLES / "quickstart.py")]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_pass_on, args=[program.stdout, lines], daemon=True).start()
        assert lines.get(timeout=30).startswith("threshold is 0.75")
        assert "Enter" in lines.get(timeout=30)
        _set(migrated_url, redis_url, "ai", "threshold", "0.90")
        assert lines.get(timeout=30) == "ann changed {'threshold'}: threshold is now 0.9\n"
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.wait(timeout=30) == 0


def _pass_on(output: IO[str], lines: queue.Queue[str]) -> None:
    for line in output:
        lines.put(line)


def _set(database_url: str, redis_url: str, service: str, key: str, text: str | None) -> None:
    """As `hotconfig set` does it."""
    from hotconfig.core.chain import Change

    publisher = Publisher(PostgresWriter(database_url, schema="hotconfig"), RedisAnnouncer(redis_url))
    try:
        commit = publisher.commit(service, [Change(key, text)], by="ann")
    finally:
        publisher.close()
    assert (commit.service, commit.changed, commit.announced) == (service, True, True)


# The FastAPI service -----------------------------------------------------------------------------------------

LOAD_S = 5
MINUTE_S = 60.0
"""After which the service counts anew by itself."""


@dataclass(frozen=True)
class Service:
    """The running service."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and body; 0 while nobody answers."""
        return self._ask(path, headers or {})

    def put(self, path: str, document: object, by: str) -> tuple[int, Any]:
        """Status and body of a change that somebody asks for."""
        headers = {"Content-Type": "application/json", "X-Auth-Request-Email": by}
        return self._ask(path, headers, json.dumps(document).encode())

    def _ask(self, path: str, headers: dict[str, str], data: bytes | None = None) -> tuple[int, Any]:
        method = "GET" if data is None else "PUT"
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - http
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:  # noqa: S310
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")
        except OSError:
            return 0, None


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the service writes on its standard error."""
    return tmp_path / "log"


@pytest.fixture
def service(migrated_url: str, redis_url: str, log: Path) -> Generator[Service]:
    """The service under uvicorn."""
    service = Service(free_port())
    command = python(
        "uvicorn", "--app-dir", str(EXAMPLES / "fastapi_service"), "--port", str(service.port), "--no-access-log",
        "service:app",
    )  # fmt: skip
    with log.open("wb") as sink, running(command, environment(migrated_url, redis_url), sink):
        eventually(lambda: service.get("/readyz")[0] == 200, PATIENCE_S)
        yield service
    assert b"Traceback" not in log.read_bytes()


def _wrk() -> str:
    if (found := shutil.which("wrk")) is None:
        pytest.skip("needs wrk: apt-get install wrk")
    return found


def test_everything_changes_under_load_and_no_request_fails(
    service: Service, migrated_url: str, redis_url: str
) -> None:
    change = partial(_set, migrated_url, redis_url)
    load = [_wrk(), "-t1", "-c8", f"-d{LOAD_S}s", "-H", "X-API-Key: load", f"{service.url}/score/0.8"]
    with subprocess.Popen(load, text=True, stdout=subprocess.PIPE) as wrk:
        assert service.get("/score/0.8") == (200, {"alarm": True, "model": "gpt-4"})
        assert service.get("/theme") == (200, {"theme": "light"})
        change("ai", "threshold", "0.90")
        change("ai", "model", "gpt-4o")
        change("features", "dark_mode", "true")
        change("api", "rate_limit", "1000000")
        change("logging", "level", "WARNING")
        eventually(lambda: service.get("/score/0.8") == (200, {"alarm": False, "model": "gpt-4o"}), PATIENCE_S)
        eventually(lambda: service.get("/theme") == (200, {"theme": "dark"}), PATIENCE_S)
        said, _ = wrk.communicate(timeout=PATIENCE_S)
    assert int(re.findall(r"(\d+) requests in", said)[0]) > 0
    assert "Non-2xx" not in said
    assert "Socket errors" not in said


def test_above_the_rate_limit_of_this_moment_callers_are_told_to_come_back(
    service: Service, migrated_url: str, redis_url: str
) -> None:
    hasty = {"X-API-Key": "hasty"}
    assert {service.get("/score/0.1", hasty)[0] for _ in range(5)} == {200}
    _set(migrated_url, redis_url, "api", "rate_limit", "3")
    eventually(lambda: service.get("/score/0.1", hasty) == (429, {"detail": "too many requests"}), PATIENCE_S)
    assert service.get("/score/0.1", {"X-API-Key": "another"})[0] == 200
    _set(migrated_url, redis_url, "api", "rate_limit", None)
    eventually(lambda: service.get("/score/0.1", hasty)[0] == 200, MINUTE_S / 2)


def test_the_log_level_changes_while_the_service_runs(
    service: Service, log: Path, migrated_url: str, redis_url: str
) -> None:
    service.get("/score/0.123")
    assert b"0.123 against" not in log.read_bytes()
    _set(migrated_url, redis_url, "logging", "level", "DEBUG")
    eventually(lambda: service.get("/score/0.125")[0] == 200 and b"0.125 against" in log.read_bytes(), PATIENCE_S)


def test_a_change_through_the_service_bears_the_name_that_the_proxy_gives(service: Service) -> None:
    status, answer = service.put("/settings/ai/threshold", {"value": 0.9, "reason": "false alarms"}, "ann@acme.example")
    assert (status, answer) == (200, {"revision": 1})
    eventually(lambda: service.get("/score/0.8")[1]["alarm"] is False, PATIENCE_S)
    for path, value, expected, said in (
        ("ai/threshold", 1.5, 422, "less than or equal to 1"),
        ("ai/treshold", 0.5, 422, "treshold"),
        ("api/rate_limit", 0, 422, "greater than 0"),
        ("nobody/threshold", 0.5, 404, "ai, api, features, logging"),
    ):
        status, answer = service.put(f"/settings/{path}", {"value": value, "reason": "a mistake"}, "ann@acme.example")
        assert (status, said in answer["detail"]) == (expected, True), answer


# The worker --------------------------------------------------------------------------------------------------


def test_the_worker_retries_as_often_as_the_settings_say_now(migrated_url: str, redis_url: str, log: Path) -> None:
    from celery import Celery

    broker = redis_url.rsplit("/", 1)[0] + "/3"
    variables = environment(migrated_url, redis_url, CELERY_BROKER_URL=broker, CELERY_RESULT_BACKEND=broker)
    command = python(
        "celery", "--workdir", str(EXAMPLES / "worker"), "--app", "tasks", "worker", "--concurrency", "2",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    with (
        log.open("wb") as sink,
        running(command, variables, sink),
        Celery("tasks", broker=broker, backend=broker) as app,
    ):

        def send(fails: int) -> object:
            result = app.send_task("tasks.send", ["ann@acme.example"], {"fails": fails})
            return result.get(timeout=PATIENCE_S, propagate=False)

        assert send(fails=3) == {"retries": 3, "timeout_seconds": 30.0}
        assert isinstance(send(fails=5), Exception)
        _set(migrated_url, redis_url, "email", "max_retries", "5")
        _set(migrated_url, redis_url, "email", "timeout_seconds", "60")
        eventually(lambda: send(fails=5) == {"retries": 5, "timeout_seconds": 60.0}, PATIENCE_S)


# The manifests -----------------------------------------------------------------------------------------------

MANIFESTS = EXAMPLES / "kubernetes"


def test_the_manifests_are_objects_that_kubernetes_knows() -> None:
    listed = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in MANIFESTS.glob("*.yaml"))
    for name in listed:
        text = (MANIFESTS / name).read_text()
        if "external-secrets.io" not in text:
            assert all(found.kind for found in load_all_yaml(text))


def test_the_manifests_name_commands_probes_and_variables_that_there_are() -> None:
    source = (EXAMPLES / "fastapi_service" / "service.py").read_text()
    everything = "\n".join(path.read_text() for path in MANIFESTS.glob("*.yaml"))
    assert {path for path in re.findall(r"path: (/\w+),", everything) if f'"{path}"' not in source} == set()
    known = {path: path.read_text() for path in (EXAMPLES.parent / "src" / "hotconfig").rglob("*.py")}
    for word in set(re.findall(r"HOTCONFIG_\w+", everything)):
        assert any(word in text for text in known.values()), word
    for command in re.findall(r"command: \[hotconfig, (\w+)\]", everything):
        done = subprocess.run(
            [sys.executable, "-m", "hotconfig", command, "--help"], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    secrets = set(re.findall(r"secretKey: ([\w-]+)", everything))
    assert {key for _, key in re.findall(r"name: (hotconfig), key: ([\w-]+)", everything)} <= secrets
