"""The applications on the provisioner's page are asked, by the frameworks they are written for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "provisioner.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

DJANGO = """
import sys, types
import django
from django.conf import settings

sys.modules["the_urls"] = urls = types.ModuleType("the_urls")
urls.urlpatterns = urlpatterns
settings.configure(ROOT_URLCONF="the_urls", SECRET_KEY="for-a-test", ALLOWED_HOSTS=["testserver"])
django.setup()
from django.test import Client

asked = {"name": "Initech", "owner_email": "ann@initech.example"}
made = Client().post("/tenants/initech", asked, headers={"Idempotency-Key": "signup-1"})
for _ in range(600):
    if made.status_code != 202:
        break
    made = Client().post("/tenants/initech", asked, headers={"Idempotency-Key": "signup-1"})
assert (made.status_code, made.json()["state"]) == (201, "active"), made.content
assert Client().post("/tenants/kube-evil", asked, headers={"Idempotency-Key": "signup-2"}).status_code == 409
assert Client().post("/tenants/initech", asked).status_code == 400, "without a key"
assert Client().get("/tenants/initech").status_code == 405
print("asked")
"""
"""Ends without closing anything, as the page says one may."""

FASTAPI = """
import json, socket, threading, urllib.error, urllib.request
import uvicorn

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
listening = threading.Event()


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        listening.set()


server = Server(uvicorn.Config(app, port=port, log_level="warning"))
thread = threading.Thread(target=server.run)
thread.start()
assert listening.wait(60)


def ask(method, path):
    headers = {"Idempotency-Key": "signup-1"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


path = "/tenants/initech?name=Initech&owner_email=ann%40initech.example"
code, made = ask("PUT", path)
for _ in range(600):
    if code != 202:
        break
    code, made = ask("PUT", path)
assert (code, made["state"]) == (201, "active"), (code, made)
assert ask("GET", "/operations/" + made["operation"])[1]["state"] == "done"
assert ask("PUT", path.replace("initech?", "globex?"))[0] == 409, "the key is another request's"
assert ask("PUT", path.replace("initech?", "kube-evil?"))[0] == 422
server.should_exit = True
thread.join(60)
assert not thread.is_alive()
double.stop()
print("asked")
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("asks", [FASTAPI, DJANGO], ids=["fastapi", "django"])
def test_the_page_works_with_the_real_framework(
    asks: str, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", migrated_url)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    *blocks, last = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert last == "double.stop()\n"
    program = tmp_path / "page.py"
    program.write_text("\n".join([*blocks, asks]), encoding="utf-8")
    done = subprocess.run([sys.executable, program], text=True, capture_output=True, timeout=150, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["asked"]), done.stderr
