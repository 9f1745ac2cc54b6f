"""The four ways to reload, side by side: Redis, LISTEN/NOTIFY and etcd watch, mounted files, polling, restarts.

Each way has a reading process of the same shape, which takes the time after it has set the attribute. The writer takes
it when its commit was answered; both read one clock. Latencies are taken without relays. What it costs is counted by
other readers of the same kind, behind relays, while they idle and while changes come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.places import Place
from benchmarks.results import Judged, Row, Summary
from benchmarks.turns import in_blocks
from benchmarks.ways.arms import ETCD, HOTCONFIG, NOTIFY, REDIS, Ends, Trial, Way, Ways, reading
from benchmarks.ways.costs import Cost, costs_of
from benchmarks.ways.polling import late_ms, polling_ways
from benchmarks.ways.restart import restarts
from benchmarks.ways.skipping import skipped

FIGURE: Final = "ways"
BOUND_MS: Final = 100.0
BLOCK: Final = 10
WARM_UP: Final = 1
RESTART: Final = "mounted file, process restarted"
_SEEN: Final = "commit → seen"
_CALLED: Final = "call → seen"


def measure(place: Place) -> list[Row]:
    """From commit to attribute of every way, and what each costs."""
    late: dict[str, list[float]] = {}
    with ExitStack() as stack:
        made = Ways(place, stack)
        ways = [*made.prompt(), *made.files()]
        trials = _latencies(place, ways, made.etcd, late)
        place.tell("costs, and polling …")
        slow = polling_ways(place, stack)

        def idle(counted: Sequence[Trial]) -> None:
            late.update(late_ms(place, [trial for trial in counted if trial.way.slow]))

        costs = costs_of(place, made, [*ways, *slow], idle=idle)
        early = {trial.way.name: trial.early_share for trial in trials}
        rows = [_row(way, late[way.name], costs[way.name], early.get(way.name, 0.0)) for way in [*ways, *slow]]
        rows += _against_peers(late, _SEEN, bounded=True)
        called = {trial.way.name: trial.called_ms[-len(late[trial.way.name]) :] for trial in trials}
        rows += [_plain(f"{name}: {_CALLED}", one, "from the call of the writer.") for name, one in called.items()]
        rows += _against_peers(called, _CALLED, bounded=False)
        rows += [skipped(FIGURE, name, reason) for name, reason in made.absent.items()]
        watchable = bool(made.files())
    return [*rows, *(_restarted(place) if watchable else [])]


def _latencies(place: Place, ways: Sequence[Way], etcd: int | None, late: dict[str, list[float]]) -> list[Trial]:
    """Every way in turns; ``late`` gets commit → seen."""
    with ExitStack() as stack:
        ends = Ends(place, etcd)
        trials = [Trial(way, stack.enter_context(reading(way, ends))) for way in ways]
        for trial in trials:
            trial.wake()
        arms = {trial.way.name: trial for trial in trials}
        late.update(in_blocks(arms, BLOCK, blocks=place.pick(150, 12), warm_up=WARM_UP))
    return trials


def _row(way: Way, late: Sequence[float], cost: Cost, early_share: float) -> Row:
    when = " Changes at random moments." if way.slow else " One change at a time, ways in turns."
    return Row(
        figure=FIGURE,
        name=f"{way.name}: {_SEEN}",
        unit="ms",
        measured=Summary.of(late),
        how=f"{way.how}{when}{cost.how()}",
        judged=Judged.P999,
        bound=BOUND_MS if way.name == HOTCONFIG else None,
        below=True,
        warm_up=0 if way.slow else max(1, BLOCK // way.each) * WARM_UP,
        also=cost.also() | ({"seen before the writer had its answer [%]": 100 * early_share} if early_share else {}),
    )


def _against_peers(late: Mapping[str, Sequence[float]], span: str, *, bounded: bool) -> list[Row]:
    """hotconfig by Redis beside each peer that a server tells, and beside its own floor, which is not bounded."""
    return [
        Row(
            figure=FIGURE,
            name=f"{HOTCONFIG}: {span}, beside {name}",
            unit="ms",
            measured=Summary.of(late[HOTCONFIG]),
            how="the samples of both rows above."
            + " etcd tells watchers beside the writer, so that an event may come before the answer." * (name == ETCD),
            floor=Summary.of(late[name]),
            floor_name=name,
            bound=1.0 if bounded and name != REDIS else None,
            peer=name != REDIS,
        )
        for name in (NOTIFY, ETCD, REDIS)
        if name in late
    ]


def _plain(name: str, sample: Sequence[float], how: str) -> Row:
    return Row(figure=FIGURE, name=name, unit="ms", measured=Summary.of(sample), how=how)


def _restarted(place: Place) -> list[Row]:
    place.tell("restarts …")
    found = restarts(place.pick(12, 3))
    how = (
        "`watchfiles PROGRAM DIRECTORY`, which interrupts and starts a program that reads its settings by "
        "pydantic-settings and does nothing else. A pod that is replaced also waits for its probes."
    )
    late = Row(
        figure=FIGURE,
        name=f"{RESTART}: {_SEEN}",
        unit="ms",
        measured=Summary.of(found.late_ms),
        how=how,
        also={"CPU per change [ms]": found.cpu_ms},
    )
    return [late, _plain(f"{RESTART}: nobody serves", found.down_ms, "from the interrupt to the new settings.")]
