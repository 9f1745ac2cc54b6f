"""All checks, each in its own environment. ``nox`` runs lint, types, wheel and tests, ``nox --list`` lists all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "wheel", "tests"]

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


NEWEST = max(PYTHONS, key=lambda version: int(version.split(".")[1]))
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
    """Check types by two checkers, what a user sees of them, and that every name of every module has a known type."""
    session.install("-e", ".", *group("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "hotconfig", "--ignoreexternal")  # fails below 100 %
    session.run("pytest", "tests/typing")


@nox.session
def api(session: nox.Session) -> None:
    """Hold the public names against those that are kept, and against the newest release in git's history, if any."""
    session.install("griffe>=2")
    session.run("python", "-m", "tests.api", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests, except the long ones. Arguments after ``--`` go to pytest in place of the usual ones.

    The Python that runs nox runs them all. The others leave out what waits for servers to fail, which is the same on
    each of them, but for threads, forks and the end of the interpreter; what is between the oldest and the newest runs
    the unit tests.
    """
    session.install("-e", ".", *group("tests"))
    chosen = ["tests"] if session.python == RUNNING else OTHER_PYTHONS if session.python == NEWEST else ["tests/unit"]
    # Twice as many as two cores: most tests wait for a server most of the time.
    usual = ["--numprocesses=4", "--durations=40", "--ignore=tests/typing", "-m", "not long", *chosen]
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
def provisioner_crashes(session: nox.Session) -> None:
    """Kill a provisioner before and after every call of every operation, twice in a row. Some ten minutes."""
    session.install("-e", ".", *group("tests"))
    session.run("pytest", "tests/faults/test_provisioner_deaths.py", "-m", "long", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run what the documentation shows, and build its site; a warning is an error."""
    session.install("-e", ".", *group("tests"), *group("docs"))
    command = ["pytest", "-p", "no:pytest-django-constance", "tests/docs", *session.posargs]
    session.run(*command, env={"HOTCONFIG_ALL_BLOCKS": "1"})
    session.run("python", "-m", "docs.site", "build", session.create_tmp())


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation's site into site/."""
    session.install("-e", ".[cli,provisioner,demo]", *group("docs"))
    session.run("python", "-m", "docs.site", "build", "site")


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


DIST = Path("dist")
EXTRAS = ["", *PROJECT["project"]["optional-dependencies"]]


def epoch() -> str:
    """The time of the newest commit, which stamps what is built from it; without git hatchling's own constant."""
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], check=False, capture_output=True, text=True)  # noqa: S607
    return done.stdout.strip() or "1580601600"


def built_wheel() -> str:
    """The wheel that ``nox -s wheel`` laid into dist/."""
    found = sorted(DIST.glob("*.whl"))
    if len(found) != 1:
        raise SystemExit("run `nox -s wheel` first: dist/ has to hold one wheel")
    return str(found[0].resolve())


@nox.session
def wheel(session: nox.Session) -> None:
    """Build both distributions twice, byte for byte the same, check them, and lay them into dist/."""
    place = Path(session.create_tmp()).resolve()
    shutil.rmtree(place)
    session.install("build", "twine>=6.1", *PROJECT["build-system"]["requires"])
    stamp = {"SOURCE_DATE_EPOCH": epoch()}
    for name, only in (("first", []), ("second", []), ("direct", ["--wheel"])):
        session.run(
            "python", "-m", "build", "--no-isolation", *only, "--outdir", str(place / name), env=stamp, silent=True
        )
    session.run(
        "python", "-m", "tests.distributions.check", *(str(place / name) for name in ("first", "second", "direct"))
    )
    session.run("twine", "check", "--strict", *map(str, sorted((place / "first").iterdir())))
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.copytree(place / "first", DIST)


@nox.session(python=PYTHONS)
@nox.parametrize("extra", EXTRAS, ids=[extra or "none" for extra in EXTRAS])
def installed(session: nox.Session, extra: str) -> None:
    """Install the wheel of dist/ with one extra where nothing else is, and use it."""
    session.install(f"hotconfig[{extra}] @ {Path(built_wheel()).as_uri()}")
    smoke = Path("tests/distributions/smoke.py").resolve()
    with session.chdir(session.create_tmp()):
        session.run("python", str(smoke), extra)
        if extra == "demo":
            session.run("hotconfig", "bench", "--list")


@nox.session(python=PYTHONS)
def wheel_tests(session: nox.Session) -> None:
    """Run what tests a user's ways through the library against the wheel of dist/."""
    session.install(built_wheel(), *group("tests"))
    chosen = ["tests/unit", "tests/acceptance", "tests/integration/test_client.py", "tests/integration/test_cli.py"]
    session.run("pytest", "--numprocesses=4", "-m", "not long", *(session.posargs or chosen))


@nox.session
def sbom(session: nox.Session) -> None:
    """Write sbom.cdx.json: what an installation of the wheel of dist/ with the extra ``all`` brings, in CycloneDX."""
    place = Path(session.create_tmp()).resolve() / "fresh"
    session.install("cyclonedx-bom>=7", "virtualenv")
    session.run("virtualenv", "--clear", "--no-seed", str(place), silent=True)
    program = str(place / "bin" / "python")
    session.run("pip", "--python", program, "install", "-q", f"hotconfig[all] @ {Path(built_wheel()).as_uri()}")
    settings = ["--mc-type", "library", "--output-reproducible", "--validate", "--spec-version", "1.6"]
    written = ["--pyproject", "pyproject.toml", "--output-file", "sbom.cdx.json"]
    session.run("cyclonedx-py", "environment", *settings, *written, program, env={"SOURCE_DATE_EPOCH": epoch()})
    session.run("python", "-m", "tests.distributions.bill", "sbom.cdx.json")


@nox.session
def pydantic_settings(session: nox.Session) -> None:
    """Run pydantic-settings' own tests with every settings class marked: nothing may fail that does not without."""
    extras = "yaml,aws-secrets-manager,azure-key-vault,gcp-secret-manager"
    session.install("-e", ".", f"pydantic-settings[{extras}]", "moto[secretsmanager,ssm]", "pytest", "pytest-mock")
    session.run("python", "tests/pydantic_settings/yardstick.py", str(Path(session.create_tmp(), "yardstick")))
