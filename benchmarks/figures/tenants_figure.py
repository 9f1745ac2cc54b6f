"""Many tenants at a time, and one reconcile of all of them."""

from __future__ import annotations

from time import perf_counter
from typing import Final

import anyio

from benchmarks.clusters import Cluster, cluster
from benchmarks.places import Place
from benchmarks.results import Judged, Row, Summary
from benchmarks.tenants import create, new_slug, provisioner, tables
from hotconfig.provisioner import Provisioner, State

CONCURRENCY: Final = (1, 2, 4, 8, 16, 32, 64)
QUICK_CONCURRENCY: Final = (1, 16)
LATENCY_S: Final = 0.005
SIDE_BY_SIDE: Final = 16
RECONCILE_BOUND: Final = 10
"""Requests of a reconcile that repairs nothing, however many tenants there are."""


def measure(place: Place) -> list[Row]:
    """Creating at several degrees of concurrency; then a thousand tenants and one reconcile."""
    url = place.database_url
    with tables(url), cluster() as kubernetes:
        kubernetes.slow_down(LATENCY_S)
        rows = anyio.run(_at_once, place, url, kubernetes)
    with tables(url), cluster() as kubernetes:
        kubernetes.slow_down(LATENCY_S)
        return rows + anyio.run(_a_thousand, place, url, kubernetes)


async def _at_once(place: Place, url: str, kubernetes: Cluster) -> list[Row]:
    rows = []
    async with provisioner(url, kubernetes) as opened:
        for width in QUICK_CONCURRENCY if place.quick else CONCURRENCY:
            place.tell(f"tenants: {width} at a time …")
            count = max(width, place.pick(192, 16))
            await _create(opened, [new_slug("warm") for _ in range(width)], width)
            begun = perf_counter()
            took = await _create(opened, [new_slug("wide") for _ in range(count)], width)
            rate = count / (perf_counter() - begun)
            how = f"each until active, {rate:.1f} tenants a second; calls of the double take 5 ms more."
            name = f"created, {width} at a time"
            rows.append(Row(figure="tenants", name=name, unit="ms", measured=Summary.of(took), how=how, warm_up=width))
    return rows


async def _create(opened: Provisioner, slugs: list[str], width: int) -> list[float]:
    """So many at a time. How long each took."""
    left = iter(slugs)
    took: list[float] = []

    async def some() -> None:
        for slug in left:
            took.append(await create(opened, slug))  # noqa: PERF401 - several take from one list

    async with anyio.create_task_group() as tasks:
        for _ in range(width):
            tasks.start_soon(some)
    return took


async def _a_thousand(place: Place, url: str, kubernetes: Cluster) -> list[Row]:
    count = place.pick(1000, 32)
    place.tell(f"tenants: {count:,} of them, {SIDE_BY_SIDE} at a time, and a reconcile …")
    async with provisioner(url, kubernetes) as opened:
        begun = perf_counter()
        await _create(opened, [new_slug("many") for _ in range(count)], SIDE_BY_SIDE)
        all_s = perf_counter() - begun
        requests, took_s = [], []
        for _ in range(place.pick(5, 2)):
            kubernetes.count()
            begun = perf_counter()
            found = await opened.reconcile_once()
            took_s.append(perf_counter() - begun)
            requests.append(float(kubernetes.counted().requests))
            assert not found.worked, found
        active = sum(each.state is State.ACTIVE for each in await opened.list())
    how = f"of {count:,} tenants that are as they should be; lists by kind, in pages of 1,000."
    return [
        Row(
            figure="tenants",
            name="a reconcile: requests to Kubernetes",
            unit="count",
            measured=Summary.of(requests),
            how=f"counted by the double; {how}",
            judged=Judged.MAXIMUM,
            bound=RECONCILE_BOUND,
        ),
        Row(figure="tenants", name="a reconcile", unit="s", measured=Summary.of(took_s), how=how),
        Row(
            figure="tenants",
            name=f"{active:,} tenants created, {SIDE_BY_SIDE} at a time",
            unit="s",
            measured=Summary.of([all_s]),
            how=f"all of {count:,}, each until active; calls of the double take 5 ms more.",
        ),
    ]
