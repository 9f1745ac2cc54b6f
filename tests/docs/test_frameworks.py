"""The programs of the page on frameworks run under their real servers, and show a change without a restart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest
from pydantic import BaseModel

import hotconfig
from tests.faults.running import PATIENCE_S, ROOT, environment, python, running
from tests.support.ports import free_port
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "frameworks.md"
TITLED = re.compile(r'^```python title="([\w.]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@hotconfig.settings(service="shop")
class ShopSettings(BaseModel):
    """As the programs have it."""

    limit: int = 10


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A directory with the programs of the page."""
    for title, text in TITLED.findall(PAGE.read_text()):
        (tmp_path / title).write_text(text)
    return tmp_path


@pytest.fixture
def desk(migrated_url: str, redis_url: str) -> Generator[hotconfig.HotConfig]:
    """Who changes the value."""
    with hotconfig.HotConfig(migrated_url, redis_url) as client:
        client.bind(ShopSettings)
        yield client


def shows(port: int, text: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return bool(response.read().decode() == text)
    except OSError:
        return False


@pytest.mark.parametrize(
    ("server", "arguments"),
    [
        ("uvicorn", ["--app-dir", "{shelf}", "--port", "{port}", "--workers", "2", "fastapi_app:app"]),
        (
            "gunicorn",
            ["--chdir", "{shelf}", "--bind", "127.0.0.1:{port}", "--preload", "--workers", "2", "flask_app:app"],
        ),
        ("gunicorn", ["--chdir", "{shelf}", "--bind", "127.0.0.1:{port}", "--workers", "2", "django_app:app"]),
    ],
    ids=["FastAPI", "Flask", "Django"],
)
def test_a_web_application_answers_with_the_new_value(
    desk: hotconfig.HotConfig, shelf: Path, migrated_url: str, redis_url: str, server: str, arguments: list[str]
) -> None:
    port = free_port()
    command = python(server, "--workers", "2", *(argument.format(shelf=shelf, port=port) for argument in arguments))
    with (shelf / "errors").open("wb") as sink, running(command, environment(migrated_url, redis_url), sink):
        eventually(partial(shows, port, "10"), PATIENCE_S)
        for limit in (20, 30):
            desk.store.set(ShopSettings, limit=limit, by="a test")
            eventually(partial(shows, port, str(limit)), PATIENCE_S)
    assert b"Traceback" not in (shelf / "errors").read_bytes()


def test_djangos_management_commands_need_neither_a_server_nor_a_variable(shelf: Path) -> None:
    variables = {name: text for name, text in os.environ.items() if not name.startswith("HOTCONFIG_")}
    code = "import django_app; from django.core.management import call_command; call_command('check')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=shelf,
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_a_celery_task_works_with_the_new_value(
    desk: hotconfig.HotConfig, shelf: Path, migrated_url: str, redis_url: str
) -> None:
    from celery import Celery

    broker = redis_url.rsplit("/", 1)[0] + "/2"
    command = python(
        "celery", "--workdir", str(shelf), "--app", "celery_app", "worker", "--concurrency", "2",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    variables = environment(migrated_url, redis_url, CELERY_BROKER_URL=broker)
    with (
        (shelf / "errors").open("wb") as sink,
        running(command, variables, sink),
        Celery("shop", broker=broker, backend=broker) as app,
    ):

        def limit() -> int:
            return int(app.send_task("limit").get(timeout=PATIENCE_S))

        assert limit() == 10
        desk.store.set(ShopSettings, limit=20, by="a test")
        eventually(lambda: limit() == 20, PATIENCE_S)


def test_a_plain_program_prints_the_new_value(
    desk: hotconfig.HotConfig, shelf: Path, migrated_url: str, redis_url: str
) -> None:
    with running([*python("program")[:1], str(shelf / "program.py")], environment(migrated_url, redis_url)) as program:
        assert program.stdin is not None
        assert program.stdout is not None

        def printed() -> int:
            program.stdin.write(b"\n")  # type: ignore[union-attr]
            program.stdin.flush()  # type: ignore[union-attr]
            return int(program.stdout.readline())  # type: ignore[union-attr]

        assert printed() == 10
        desk.store.set(ShopSettings, limit=20, by="a test")
        eventually(lambda: printed() == 20, PATIENCE_S)
        program.stdin.write(b"quit\n")
        program.stdin.close()
        assert program.wait(PATIENCE_S) == 0
