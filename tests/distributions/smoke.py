"""Use an installed hotconfig with one extra, in an environment that has nothing else: ``python smoke.py EXTRA``.

Runs outside of the repository, so what it imports is what was installed.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Final

NOWHERE: Final = "postgresql://nobody@127.0.0.1:1/nothing"


def base() -> None:
    """Names, a settings class, and a client that has not started: no driver is asked for."""
    from pydantic_settings import BaseSettings

    import hotconfig

    @hotconfig.settings(service="ai")
    class Settings(BaseSettings):
        threshold: float = 0.75

    assert all(getattr(hotconfig, name) for name in hotconfig.__all__)
    assert Settings().threshold == 0.75
    assert hotconfig.HotConfig(NOWHERE).status().state is hotconfig.State.NOT_READY
    assert Path(hotconfig.__file__).with_name("py.typed").exists()
    migrations = importlib.import_module("importlib.resources").files("hotconfig.postgres") / "migrations"
    assert any(entry.name.startswith("0001_") for entry in migrations.iterdir())


def binary() -> None:
    """libpq comes along, and an absent server is an error of ours."""
    import psycopg

    import hotconfig

    assert psycopg.pq.__impl__ == "binary"
    try:
        hotconfig.HotConfig(NOWHERE).start(timeout=1.0)
    except hotconfig.DatabaseUnavailableError:
        return
    raise AssertionError("started without a database")


def cli() -> None:
    """The command answers, also with an error that it explains."""
    said = program("hotconfig", "--help")
    assert "migrate" in said
    assert "doctor" in said


def provisioner() -> None:
    """Its command answers, and its names load."""
    import hotconfig.provisioner as package

    assert all(getattr(package, name) for name in dir(package) if name[0].isupper() and name != "TYPE_CHECKING")
    assert "reconcile" in program("hotconfig-provisioner", "--help")


def openfeature() -> None:
    """A flag is answered from a live object, without any server."""
    from openfeature import api
    from pydantic import BaseModel

    import hotconfig
    from hotconfig.flags import HotConfigProvider
    from hotconfig.testing import in_memory

    @hotconfig.settings(service="features")
    class Features(BaseModel):
        dark_mode: bool = False

    with in_memory({"features": {"dark_mode": "true"}}) as client:
        api.set_provider_and_wait(HotConfigProvider(client, client.bind(Features)))
        assert api.get_client().get_boolean_value("dark_mode", False)
        api.shutdown()


def demo() -> None:
    """The real thing, on embedded servers: one change, seen."""
    from pydantic import BaseModel

    import hotconfig
    from hotconfig import embedded
    from hotconfig.postgres.migrate import migrate

    @hotconfig.settings(service="ai")
    class Settings(BaseModel):
        threshold: float = 0.75

    with embedded.servers() as servers:
        migrate(servers.database_url)
        with hotconfig.HotConfig(servers.database_url, servers.redis_url) as client:
            live = client.bind(Settings)
            client.wait_for(client.store.set(live, threshold=0.9, by="smoke"), timeout=30)
            assert live.threshold == 0.9


def imports(*names: str) -> None:
    """What the extra is for can be imported."""
    for name in names:
        importlib.import_module(name)


def program(name: str, *arguments: str) -> str:
    """Run a program that was installed beside this interpreter."""
    path = Path(sys.executable).with_name(name)
    return subprocess.run([str(path), *arguments], check=True, capture_output=True, text=True).stdout


def main(extra: str) -> None:
    """Everything that an installation with ``extra`` has to be able to do."""
    base()
    steps = {
        "": (),
        "binary": (binary,),
        "hiredis": (lambda: imports("hiredis"),),
        "cli": (cli,),
        "console": (lambda: imports("fastapi", "jinja2"),),
        "provisioner": (provisioner,),
        "openfeature": (openfeature,),
        "demo": (binary, cli, demo),
        "all": (binary, cli, provisioner, openfeature, lambda: imports("hiredis", "fastapi", "jinja2")),
    }[extra]
    for step in steps:
        step()
    print(f"Python {sys.version.split()[0]}, extra {extra or 'none'}: works")


if __name__ == "__main__":
    main(sys.argv[1])
