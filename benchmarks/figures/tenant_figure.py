"""Creating a tenant until it is active, and changing its quota until it is in force."""

from __future__ import annotations

import math
from typing import Final

import anyio

from benchmarks.clusters import Cluster, cluster
from benchmarks.places import Place
from benchmarks.results import Judged, Row, Summary
from benchmarks.tenants import BY, Least, change_quota, create, floor, new_slug, provisioner, tables, watched
from hotconfig.provisioner import Quota

LATENCIES_MS: Final = (5, 0, 20)
"""Of each call to the double, beside its own work. Bounds hold for the first."""
CREATE_BOUND_MS: Final = 120.0
RATIO_BOUND: Final = 1.5
QUOTA_BOUND_MS: Final = 30.0
SEQUENCE_BOUND: Final = 4
WARM_UP: Final = 3
COUNTED_MS: Final = 100.0
"""So slow that calls side by side are told from calls one after the other, even on a busy machine."""
_HOW: Final = "one after the other, against the Kubernetes double in a process of its own, {} ms more for each call."


def measure(place: Place) -> list[Row]:
    """Creating beside its floor, its shares, quotas, and round trips."""
    url = place.database_url
    with tables(url), cluster() as kubernetes:
        rows = [row for each in LATENCIES_MS for row in anyio.run(_at, place, url, kubernetes, each)]
        return [*rows, *anyio.run(_round_trips, place, url, kubernetes)]


async def _at(place: Place, url: str, kubernetes: Cluster, latency_ms: float) -> list[Row]:
    place.tell(f"tenant: {latency_ms:g} ms for each call …")
    kubernetes.slow_down(latency_ms / 1e3)
    count = place.pick(200, 15) if latency_ms == LATENCIES_MS[0] else place.pick(60, 4)
    return [*await _creating(url, kubernetes, latency_ms, count), await _changing(url, kubernetes, latency_ms, count)]


async def _creating(url: str, kubernetes: Cluster, latency_ms: float, count: int) -> list[Row]:
    """Each creation and each floor in turns."""
    is_bound = latency_ms == LATENCIES_MS[0]
    took: list[float] = []
    least: list[Least] = []
    shares: dict[str, list[float]] = {name: [] for name in _SHARES}
    async with watched(url, kubernetes) as (opened, database, api), floor(url, kubernetes) as beneath:
        for number in range(WARM_UP + count):
            least_ms = await beneath.take_ms()
            for each in (database, api):
                each.taken_ms()  # what was before
            took_ms = await create(opened, new_slug("made"))
            if number < WARM_UP:
                continue
            took.append(took_ms)
            least.append(least_ms)
            waited = {"PostgreSQL": database.taken_ms(), "Kubernetes": api.taken_ms()}
            for name, waited_ms in waited.items():
                shares[name].append(waited_ms)
            shares["own work"].append(took_ms - sum(waited.values()))
    how = _HOW.format(f"{latency_ms:g}")
    name = f"created until active, {latency_ms:g} ms calls"
    made = Summary.of(took)
    rows = [
        Row(
            figure="tenant",
            name=name,
            unit="ms",
            measured=made,
            how=f"p95 {_p95(took):.1f} ms; {how}",
            judged=Judged.P50,
            bound=CREATE_BOUND_MS if is_bound else None,
            warm_up=WARM_UP,
        ),
        *(
            Row(
                figure="tenant",
                name=f"{name}, {beside}",
                unit="ms",
                measured=made,
                how=f"in turns; {how}",
                floor=Summary.of(floor_ms),
                floor_name=f"one POST, {slowest}, the binding and two commits, each alone",
                bound=RATIO_BOUND if is_bound else None,
                warm_up=WARM_UP,
            )
            for beside, slowest, floor_ms in (
                ("beside the floor", "the slowest call of a fence", [each.calls for each in least]),
                (
                    "beside the floor in force",
                    "the slowest fence until it is in force",
                    [each.standing for each in least],
                ),
            )
        ),
    ]
    return rows + [
        Row(
            figure="tenant",
            name=f"{name}, {share}",
            unit="ms",
            measured=Summary.of(waits),
            how=f"of the same creations: {_SHARES[share]}",
            warm_up=WARM_UP,
        )
        for share, waits in shares.items()
    ]


_SHARES: Final = {
    "PostgreSQL": "from each call until its rows were read.",
    "Kubernetes": "the time in which at least one call was under way.",
    "own work": "the rest.",
}


async def _changing(url: str, kubernetes: Cluster, latency_ms: float, count: int) -> Row:
    async with provisioner(url, kubernetes) as opened:
        slug = new_slug("quota")
        await create(opened, slug)
        quotas = [Quota(str(11 + number), "20Gi", "10Gi") for number in range(WARM_UP + count)]
        took = [await change_quota(opened, slug, quota) for quota in quotas]
    return Row(
        figure="tenant",
        name=f"set_quota until in force, {latency_ms:g} ms calls",
        unit="ms",
        measured=Summary.of(took[WARM_UP:]),
        how=f"until status.hard == spec.hard; p95 {_p95(took[WARM_UP:]):.1f} ms; {_HOW.format(f'{latency_ms:g}')}",
        judged=Judged.P50,
        bound=QUOTA_BOUND_MS if latency_ms == LATENCIES_MS[0] else None,
        warm_up=WARM_UP,
    )


async def _round_trips(place: Place, url: str, kubernetes: Cluster) -> list[Row]:
    """Counted by the double, without a controller manager: it would now and then spare the quota's status."""
    kubernetes.controllers(running=False)
    kubernetes.slow_down(COUNTED_MS / 1e3)
    in_sequence: list[float] = []
    requests: list[float] = []
    quota: list[float] = []
    async with provisioner(url, kubernetes) as opened:
        for _ in range(place.pick(10, 2)):
            slug = new_slug("counted")
            kubernetes.count()
            await create(opened, slug)
            found = kubernetes.counted()
            in_sequence.append(found.in_sequence)
            requests.append(found.requests)
            kubernetes.count()
            await opened.set_quota(slug, Quota("20", "40Gi", "20Gi"), by=BY, wait_s=60.0)
            quota.append(kubernetes.counted().in_sequence)
    kubernetes.controllers(running=True)
    how = "counted by the double, with no controller manager, on connections that stand."
    counted = {
        "created: round trips to Kubernetes in sequence": (in_sequence, SEQUENCE_BOUND),
        "created: requests to Kubernetes": (requests, None),
        "set_quota: round trips to Kubernetes in sequence": (quota, None),
    }
    return [
        Row(
            figure="tenant",
            name=name,
            unit="count",
            measured=Summary.of(sample),
            how=how,
            judged=Judged.MAXIMUM,
            bound=bound,
        )
        for name, (sample, bound) in counted.items()
    ]


def _p95(sample: list[float]) -> float:
    return sorted(sample)[max(0, math.ceil(0.95 * len(sample)) - 1)]
