"""The example that embeds the provisioner, run with uvicorn, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.provisioners import ACME, Site
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "embedded_provisioner"
ANN = {"name": "Acme", "owner_email": "ann@acme.example"}


@pytest.fixture
def address(site: Site) -> Generator[str]:
    """Where the example listens."""
    port = free_port()
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": site.database_url,
        "KUBECONFIG": str(site.kubeconfig),
        "PURGER_KUBECONFIG": str(site.purger_config),
        "WAIT_S": "30",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLE), "--port", str(port), "app:app"]
    with subprocess.Popen(command, env=environment) as program:
        try:
            eventually(lambda: _answers(port), timeout_s=60)
            yield f"http://127.0.0.1:{port}"
        finally:
            program.send_signal(signal.SIGINT)
            assert program.wait(timeout=30) in {0, -signal.SIGINT}, "it ends when it is told to"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(address: str, method: str, path: str, body: object = None, *, key: str = "one") -> tuple[int, dict[str, Any]]:
    headers = {"X-User": "ann", "Idempotency-Key": key, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, headers, method=method)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_tenant_is_made_changed_and_offboarded(site: Site, address: str) -> None:
    code, made = ask(address, "PUT", "/tenants/acme", ANN)
    assert (code, made["state"]) == (201, "active")
    site.assert_open()
    assert ask(address, "PUT", "/tenants/acme", ANN) == (201, made), "the same key, the same operation"
    code, followed = ask(address, "GET", f"/operations/{made['operation']}")
    assert (code, followed["finished"]) == (200, True)
    larger = {"cpu": "20", "memory": "40Gi", "storage": "50Gi"}
    assert ask(address, "PUT", "/tenants/acme/quota", larger, key="two")[0] == 200
    site.assert_open(cpu="20")
    assert ask(address, "GET", "/tenants/acme")[1]["settled"] is True
    assert ask(address, "DELETE", "/tenants/acme", key="three")[1]["state"] == "offboarding"
    site.assert_isolated()
    # and what cannot be
    assert ask(address, "PUT", "/tenants/kube-evil", ANN, key="four")[0] == 422
    assert ask(address, "PUT", "/tenants/acme", ANN, key="five")[0] == 409
    assert ask(address, "PUT", "/tenants/globex", {**ANN, "quota": {"cpu": "-1"}}, key="six")[0] == 422
    assert ask(address, "GET", "/tenants/nobody")[0] == 404
    assert site.double.get(ACME.replace("acme", "globex")) is None
