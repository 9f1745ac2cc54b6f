"""Processes that run a provisioner are killed right before and right after every call, and once more while recovering.

As :mod:`tests.faults.test_provisioner_crashes`, but the deaths are real: SIGKILL, from within, of a process of its own,
with all its connections. After each, a second process takes over and is killed too, and a third carries it through.

What must hold then is read off a tenant of the same operation that nobody disturbed: the same objects in Kubernetes,
the same history, the same operations and values in PostgreSQL, and nothing anywhere else.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import psycopg
import pytest

from hotconfig.testing.kubernetes import KubernetesDouble
from tests.faults.running import environment, python, running
from tests.support.provisioners import NETWORK, Site

pytestmark = pytest.mark.timeout(7200)

THROUGH: Final = "through"
KILLED: Final = "signal 9"
MOST_CALLS: Final = 80
ALIVE: Final = 4
"""So many in a row got through: there is no further call to die at."""
SHORT: Final = 4
"""How many of an operation's points are drawn where minutes count; ``nox -s provisioner_crashes`` takes them all."""
SEED: Final = 20260
KINDS: Final = ("resourcequotas", "limitranges", "serviceaccounts", "configmaps")
UIDS: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMES: Final = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(\+00:00|Z)")


@dataclass(frozen=True)
class Operation:
    """Something that is asked for: what must have been done before, and what is right afterwards."""

    name: str
    before: tuple[str, ...]
    state: str
    right: Callable[[Site, str], None]


def is_open(site: Site, slug: str) -> None:
    site.assert_open(slug)


def is_larger(site: Site, slug: str) -> None:
    site.assert_open(slug, cpu="20")


def is_gone(site: Site, slug: str) -> None:
    assert site.double.get(f"/api/v1/namespaces/org-{slug}") is None


OPERATIONS: Final = (
    Operation("create", (), "active", is_open),
    Operation("quota", ("create",), "active", is_larger),
    Operation("suspend", ("create",), "suspended", Site.assert_cordoned),
    Operation("resume", ("create", "suspend"), "active", is_open),
    Operation("offboard", ("create",), "offboarding", Site.assert_isolated),
    Operation("restore", ("create", "offboard"), "active", is_open),
    Operation("purge", ("create", "offboard"), "deleted", is_gone),
    Operation("adopt", ("refused",), "active", is_open),
    Operation("reconcile", ("create",), "active", is_open),
)


@dataclass(frozen=True)
class Death:
    """Right before or right after the n-th call. 0: never."""

    calls: int = 0
    before: bool = False

    def __str__(self) -> str:
        return f"{'before' if self.before else 'after'} call {self.calls}" if self.calls else "never"


@dataclass
class Graveyard:
    """A site, and the program whose children live and die there."""

    site: Site
    program: Popen[bytes]
    points: int = 0
    violations: list[str] = field(default_factory=list)

    def live(self, work: str, slug: str, death: Death = Death()) -> bool:
        """Whether it got through. Then, all leases run out."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        wish = {"work": work, "slug": slug, "calls": death.calls, "before": death.before}
        self.program.stdin.write(json.dumps(wish).encode() + b"\n")
        self.program.stdin.flush()
        end = self.program.stdout.readline().decode().strip()
        assert end in {THROUGH, KILLED}, f"{work} of {slug}, to die {death}: {end}"
        with psycopg.connect(self.site.database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE hotconfig.organizations SET lease_until = now() - interval '1 s' WHERE lease_until > now()"
            )
        return end == THROUGH

    def prepare(self, operation: Operation, slug: str) -> None:
        if operation.name == "adopt":
            self.site.double.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"org-{slug}", "labels": {"is": "old"}}}
            )
        for step in operation.before:
            assert self.live(step, slug)
        if operation.name == "reconcile":
            self.vandalize(slug)

    def vandalize(self, slug: str) -> None:
        """Open a fence and take another away."""
        opened: dict[str, Any] = {"spec": {"ingress": [{}]}}
        path = f"{NETWORK}/hotconfig-deny-all".replace("org-acme", f"org-{slug}")
        double, merge = self.site.double, "application/merge-patch+json"
        assert double.request("PATCH", path, opened, content_type=merge).code == 200
        assert double.request("DELETE", f"/api/v1/namespaces/org-{slug}/limitranges/hotconfig-limits").code == 200

    def explore(self, operation: Operation, slug: str, first: Death, second: Death) -> bool:
        """Die, die again while recovering, recover. Returns whether the first got through, against its fate."""
        self.prepare(operation, slug)
        if self.live(operation.name, slug, first):
            return True
        self.points += 1
        asks_again = self.points % 2 == 0  # otherwise nobody does, and a reconciler finds it
        if not self.live("reconcile" if self._is_stored(operation, slug) else operation.name, slug, second):
            self.points += 1
        self.live(operation.name if asks_again or not self._is_stored(operation, slug) else "reconcile", slug)
        self.live("reconcile", slug)
        return False

    def _is_stored(self, operation: Operation, slug: str) -> bool:
        """Whether the wish came to the database; else nobody but the caller knows of it."""
        if operation.name == "reconcile":
            return True
        found = self.rows(
            "SELECT 1 FROM organization_operations WHERE idempotency_key = %s", f"{operation.name}-{slug}"
        )
        return bool(found)

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.site.database_url, options="-c search_path=hotconfig") as connection:
            return connection.execute(query.encode(), values).fetchall()


@pytest.fixture
def graveyard(migrated_url: str, tmp_path: Path) -> Generator[Graveyard]:
    with KubernetesDouble(tls=False) as double:
        double.pace.termination_s = 0.01
        site = Site(migrated_url, double, tmp_path)
        command = python("tests.faults.programs.mortal", migrated_url, str(site.kubeconfig), str(site.purger_config))
        with (tmp_path / "errors").open("wb") as errors, running(command, environment(migrated_url, ""), errors) as it:
            yield Graveyard(site, it)
        told = (tmp_path / "errors").read_text()
        assert told == "", told


# the oracle --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Traces:
    """All that a tenant has left, with what is of its own (its name, UIDs, times) masked."""

    organization: tuple[Any, ...]
    operations: list[tuple[Any, ...]]
    history: list[tuple[Any, ...]]
    values: list[tuple[Any, ...]]
    objects: dict[str, Any]

    def differences(self, other: Traces) -> Iterator[str]:
        for name in ("organization", "operations", "history", "values", "objects"):
            wanted, found = getattr(self, name), getattr(other, name)
            if wanted != found:
                yield f"{name}: {found} instead of {wanted}"


def traces(graveyard: Graveyard, slug: str) -> Traces:
    organization = graveyard.rows(
        "SELECT state, observed_generation = generation, coalesce(lease_until > now(), false), conditions"
        " FROM organizations WHERE id = %s",
        slug,
    )
    operations = graveyard.rows(
        "SELECT kind, state, error FROM organization_operations WHERE organization_id = %s ORDER BY created_at", slug
    )
    history = graveyard.rows(
        "SELECT event, detail, by, reason FROM organization_history WHERE organization_id = %s ORDER BY number", slug
    )
    values = graveyard.rows(
        "SELECT key, op, old_value, new_value, changed_by FROM config_history WHERE organization_id = %s"
        " ORDER BY revision, ordinal",
        slug,
    )
    objects = {_named(each): _shape(each) for each in _objects(graveyard.site.double, slug)}
    (row,) = organization
    return Traces(
        row,
        _masked(operations, slug),
        _masked([_event(each) for each in history], slug),
        _masked(values, slug),
        _masked(objects, slug),
    )


def _event(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A repair says what it did; one that was interrupted did a part, or all without having written it down."""
    return ("repaired", None, *row[2:]) if row[0] in {"repaired", "resumed"} else row


def _objects(double: KubernetesDouble, slug: str) -> Iterator[dict[str, Any]]:
    space = double.get(f"/api/v1/namespaces/org-{slug}")
    if space is None:
        return
    yield space
    paths = [f"/api/v1/namespaces/org-{slug}/{kind}" for kind in KINDS]
    paths.append(f"/apis/networking.k8s.io/v1/namespaces/org-{slug}/networkpolicies")
    paths.append(f"/apis/rbac.authorization.k8s.io/v1/namespaces/org-{slug}/rolebindings")
    for path in paths:
        yield from ({**each, "kind": path.rpartition("/")[2]} for each in double.items(path))


def _named(body: dict[str, Any]) -> str:
    return f"{body['kind']} {body['metadata']['name']}"


def _shape(body: dict[str, Any]) -> dict[str, Any]:
    """Without what counts the writes: a fence may be applied twice."""
    metadata = {key: body["metadata"].get(key) for key in ("labels", "annotations", "deletionTimestamp")}
    rest = {key: value for key, value in body.items() if key != "metadata"}
    return {**rest, "metadata": metadata}


def _masked(value: Any, slug: str) -> Any:
    text = json.dumps(value, default=str, sort_keys=True)
    text = re.sub(rf"\b{slug}\b", "SLUG", text)
    return json.loads(TIMES.sub("TIME", UIDS.sub("UID", text)))


# exploring ---------------------------------------------------------------------------------------------------------


def judge(graveyard: Graveyard, operation: Operation, slug: str, wanted: Traces, how: str) -> None:
    """Hold what is left against the undisturbed tenant."""
    try:
        operation.right(graveyard.site, slug)
        found = list(wanted.differences(traces(graveyard, slug)))
    except AssertionError as error:
        found = [str(error)]
    graveyard.violations += [f"{operation.name}, {how}: {each}" for each in found]


def explore(graveyard: Graveyard, operation: Operation, points: Iterator[tuple[Death, Death]]) -> bool:
    """Die at all these points, and hold what is left against the rules. Whether there was no further call to die at."""
    bystander = stranger(graveyard)
    graveyard.prepare(operation, "calm")
    assert graveyard.live(operation.name, "calm")
    wanted = traces(graveyard, "calm")
    operation.right(graveyard.site, "calm")
    slugs, alive = ["calm"], 0
    for number, (first, second) in enumerate(points):
        slug = f"t{number}"
        slugs.append(slug)
        through = graveyard.explore(operation, slug, first, second)
        judge(graveyard, operation, slug, wanted, f"killed {first} and {second}")
        alive = alive + 1 if through else 0
        if alive == ALIVE:
            break
    assert graveyard.violations == []
    assert stranger(graveyard) == bystander
    check_outside(graveyard, operation, slugs)
    return alive == ALIVE


def check_outside(graveyard: Graveyard, operation: Operation, slugs: list[str]) -> None:
    """No namespace without an organization, no organization that nobody asked for, no write outside of them."""
    ours = {f"org-{slug}" for slug in slugs}
    there = {each["metadata"]["name"] for each in graveyard.site.double.items("/api/v1/namespaces")}
    left = {name for name in there if name.startswith("org-")}
    assert left == (set() if operation.state == "deleted" else ours)
    assert {row[0] for row in graveyard.rows("SELECT id FROM organizations")} == set(slugs)
    for call in graveyard.site.double.log.calls():
        if call.method == "GET" or (call.method, call.path) == ("POST", "/api/v1/namespaces"):
            continue
        assert call.path.split("/namespaces/")[1].split("/")[0] in ours, call
        assert call.method != "DELETE" or operation.state == "deleted", call


def stranger(graveyard: Graveyard) -> list[Any]:
    """What belongs to somebody else, to the version; made when it is not there yet."""
    double = graveyard.site.double
    if double.get("/api/v1/namespaces/stranger") is None:
        metadata = {"name": "theirs", "namespace": "stranger", "labels": {"of": "somebody-else"}}
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stranger"}}
        double.apply(made, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}})
    settings = double.get("/api/v1/namespaces/stranger/configmaps/theirs")
    return [double.get("/api/v1/namespaces/stranger"), settings]


def every_point(recoveries: int) -> Iterator[tuple[Death, Death]]:
    """Before and after call 1, 2, 3, …; each with so many deaths of the next one, which go round through its calls."""
    seconds = itertools.cycle([Death(calls, before) for calls in range(1, 17) for before in (True, False)])
    for calls in range(1, MOST_CALLS):
        for before in (True, False):
            for _ in range(recoveries):
                yield Death(calls, before), next(seconds)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_wherever_the_process_is_killed_another_goes_on(graveyard: Graveyard, operation: Operation) -> None:
    draw = random.Random(f"{SEED} {operation.name}")
    deaths = iter(lambda: Death(draw.randint(1, 6), before=draw.random() < 0.5), None)
    explore(graveyard, operation, itertools.islice(zip(deaths, deaths, strict=False), SHORT))
    assert graveyard.points >= SHORT / 2


PLANTS: Final = {
    "an event": "INSERT INTO organization_history (organization_id, organization_uid, event, by)"
    " SELECT id, uid, 'create', 'ann' FROM organizations WHERE id = 'other'",
    "an operation": "INSERT INTO organization_operations"
    " (organization_id, kind, idempotency_key, request_hash, request, requested_by)"
    " VALUES ('other', 'create', 'k', 'h', '{}', 'ann')",
    "a value": "UPDATE service_configs SET value = '11' WHERE organization_id = 'other' AND key = 'quota_cpu'",
    "a lease": "UPDATE organizations SET lease_until = now() + interval '1 h' WHERE id = 'other'",
}


@pytest.mark.parametrize("plant", [*PLANTS, "an object", "nothing"])
def test_the_oracle_sees_what_is_one_too_many(graveyard: Graveyard, plant: str) -> None:
    operation = OPERATIONS[0]
    for slug in ("calm", "other"):
        assert graveyard.live("create", slug)
    if plant == "an object":
        metadata = {"name": "left", "namespace": "org-other"}
        graveyard.site.double.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})
    elif plant in PLANTS:
        with psycopg.connect(graveyard.site.database_url, options="-c search_path=hotconfig") as connection:
            connection.execute(PLANTS[plant].encode())
    judge(graveyard, operation, "other", traces(graveyard, "calm"), "never")
    assert bool(graveyard.violations) is (plant != "nothing")


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_at_every_single_call(graveyard: Graveyard, operation: Operation, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert explore(graveyard, operation, every_point(recoveries=2)), "it never got through"
    finally:
        with capsys.disabled():
            print(f"\n{operation.name}: {graveyard.points} deaths, {len(graveyard.violations)} violations")  # noqa: T201
