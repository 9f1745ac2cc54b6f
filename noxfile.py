"""All checks, each in its own environment. ``nox`` runs lint, types and tests, ``nox --list`` lists all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

# The interpreter that runs nox counts as present, even from within a virtual environment that is not on PATH.
os.environ["PATH"] += f"{os.pathsep}{Path(sys.base_prefix, 'bin')}"


def is_broken(version: str) -> bool:
    """Tell whether ``python<version>`` is on PATH but does not run, like the shim of a disabled version."""
    program = shutil.which(f"python{version}")
    if program is None:
        return False
    return subprocess.run([program, "--version"], check=False, capture_output=True).returncode != 0  # noqa: S603


PYTHONS = [version for version in dict.fromkeys((RUNNING, "3.11", "3.12", "3.13")) if not is_broken(version)]


OTHER_PYTHONS = [
    "tests/unit",
    "tests/contract/test_writer.py",
    "tests/integration/test_async.py",
    "tests/integration/test_client.py",
    "tests/integration/test_life_cycle.py",
    "tests/integration/test_forks.py",
    "tests/faults/test_exit_midway.py",
    "tests/faults/test_forks_processes.py",
    "tests/faults/test_threads_die.py",
]


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types by two checkers, and what a user sees of them."""
    session.install("-e", ".", *group("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("pytest", "tests/typing")


@nox.session
def public_types(session: nox.Session) -> None:
    """Tell which public names are not completely typed."""
    session.install("-e", ".", *group("types"))
    session.run("pyright", "--verifytypes", "hotconfig", "--ignoreexternal")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests, except the long ones. Arguments after ``--`` go to pytest in place of the usual ones.

    The Python that runs nox runs them all. The others leave out what waits for servers to fail, which is the same on
    each of them, but for threads, forks and the end of the interpreter.
    """
    session.install("-e", ".", *group("tests"))
    chosen = ["tests"] if session.python == RUNNING else OTHER_PYTHONS
    # Twice as many as two cores: most tests wait for a server most of the time.
    usual = ["--numprocesses=4", "--ignore=tests/typing", "-m", "not long", *chosen]
    session.run("pytest", *(session.posargs or usual))


@nox.session(python=PYTHONS)
def exits(session: nox.Session) -> None:
    """End an interpreter in the middle of things, 200 times on each Python."""
    session.install("-e", ".", *group("tests"))
    session.run("pytest", "tests/faults/test_exit_midway.py", "-m", "long", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed a million mutated inputs to everything that reads what strangers send. A minute or two."""
    session.install("-e", ".", *group("tests"))
    session.run("python", "-m", "tests.fuzz", *(session.posargs or ["--inputs", "1000000"]))


@nox.session
def soak(session: nox.Session) -> None:
    """Send a million changes through one reader, and watch its memory, threads and descriptors. Some ten minutes."""
    session.install("-e", ".", *group("tests"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Draw a thousand fault schedules and judge what readers saw. About an hour; see docs/fault-testing.md."""
    session.install("-e", ".", *group("tests"))
    session.run("python", "-m", "tests.faults", *(session.posargs or ["--seeds", "1000", "--jobs", "3"]))


@nox.session
def docs(session: nox.Session) -> None:
    """Run what the documentation shows."""
    session.install("-e", ".", *group("tests"))
    session.run("pytest", "tests/docs", *session.posargs)


def peers_python(session: nox.Session) -> str:
    """Give the peers an environment beside the session's own, whose pins they would break; return its interpreter."""
    home = Path(session.virtualenv.location, "peers")
    python = str(home / "bin" / "python")
    session.run("python", "-m", "venv", str(home))
    session.run(python, "-m", "pip", "install", "--quiet", ".", *group("peers"), external=True)
    return python


def measure(session: nox.Session, *options: str) -> None:
    """Run the benchmark suite, and keep what came out where the session's Python says."""
    session.install("-e", ".", *group("bench"))
    kept = ["--json", f"bench-{session.python}.json", "--report", f"bench-{session.python}.html"]
    peers = {"HOTCONFIG_BENCH_PEERS_PYTHON": peers_python(session)}
    session.run("hotconfig", "bench", *options, *(session.posargs or kept), env=peers)


@nox.session(python=RUNNING)
def bench(session: nox.Session) -> None:
    """Measure with small samples, beside the bare libraries and the peers. Five minutes at most."""
    measure(session, "--quick")


@nox.session(name="bench-full", python=[version for version in PYTHONS if version != "3.12"])
def bench_full(session: nox.Session) -> None:
    """Measure with samples that p99.9 is worth looking at. Leave the machine alone meanwhile."""
    measure(session)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build both distributions, and run the unit tests against the installed wheel."""
    built = Path(session.create_tmp())
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(built))
    (path,) = built.glob("*.whl")
    session.install(str(path), *group("tests"))
    with session.chdir(built):
        session.run("python", "-c", "import hotconfig; print('imported', hotconfig.__file__)")
        session.run("hotconfig", "bench", "--list")
    session.run("pytest", "tests/unit", *session.posargs)


@nox.session
def pydantic_settings(session: nox.Session) -> None:
    """Run pydantic-settings' own tests with every settings class marked: nothing may fail that does not without."""
    extras = "yaml,aws-secrets-manager,azure-key-vault,gcp-secret-manager"
    session.install("-e", ".", f"pydantic-settings[{extras}]", "moto[secretsmanager,ssm]", "pytest", "pytest-mock")
    session.run("python", "tests/pydantic_settings/yardstick.py", str(Path(session.create_tmp(), "yardstick")))
