"""Other libraries side by side, where they run offline: read, reload, import, memory.

Each library runs in a process of its own, set up as its manual shows, with one value; they take turns. Reads are loops
of many reads in one code object; what is timed is the call that a service would write. A reload is timed from the new
value being at the source until a read gives it, and the read is checked each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks.peers.asking import Asked, asking, start
from benchmarks.peers.using import PEERS, Servers
from benchmarks.places import Place
from benchmarks.results import Row, Summary, UnavailableError
from benchmarks.turns import ROUND, in_blocks
from benchmarks.ways.skipping import skipped

FIGURE: Final = "peers"
OURS: Final = "hotconfig"
FLOOR: Final = "a plain attribute"
READ_BOUND: Final = 0.1
"""A tenth of the peer's time."""
BLOCK: Final = 3
WARM_UP: Final = 2
_HOW: Final = {
    "read": ("ns", "each of n is the mean of a loop of at least some milliseconds, in turns, one process each."),
    "reload": ("µs", "one reload each, in turns, one process each."),
    "import": ("ms", "in turns, each in a new interpreter, the interpreter's own start not counted."),
    "memory": ("MB", "resident after import, set-up and a read, less what was before; a new interpreter each time."),
}

Samples = Mapping[str, Mapping[str, list[float]]]


def measure(place: Place) -> list[Row]:
    """hotconfig against every library that is installed; a row that says so for every other."""
    servers = Servers(place.redis_url, place.database_url)
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        asked: dict[str, Asked] = {}
        for name in PEERS:
            place.tell(f"starting {name} …")
            try:
                asked[name] = stack.enter_context(asking(name, servers))
            except UnavailableError as error:
                absent[name] = str(error)
        samples = {what: _in_turns(asked, what, place) for what in ("read", "reload")}
    started = _starts(list(asked), servers, place.pick(15, 3))
    samples["import"] = {name: [one[0] for one in found] for name, found in started.items()}
    samples["memory"] = {name: [one[1] for one in found] for name, found in started.items()}
    rows = [
        _row(what, name, asked[name].version, samples)
        for what in _HOW
        for name in asked
        if name != OURS and (name != FLOOR or what == "read")
    ]
    return rows + [skipped(FIGURE, name, reason) for name, reason in absent.items()]


def _in_turns(asked: Mapping[str, Asked], what: str, place: Place) -> dict[str, list[float]]:
    arms = {name: partial(ask, what) for name, ask in asked.items()}
    return in_blocks(arms, BLOCK, blocks=place.pick(40, 8), warm_up=WARM_UP)


def _starts(names: list[str], servers: Servers, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Import time and memory; a first round fills the bytecode cache, and is not kept."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names:
            one = start(name, servers)
            if number:
                found[name].append(one)
        ROUND.get()(number + 1, rounds + 1)
    return found


def _row(what: str, name: str, version: str, samples: Samples) -> Row:
    unit, how = _HOW[what]
    peer = PEERS[name]
    if what == "reload":
        how += f" hotconfig: {PEERS[OURS].reloads}. {name}: {peer.reloads}."
    return Row(
        figure=FIGURE,
        name=f"{what}: {OURS} and {name}",
        unit=unit,
        measured=Summary.of(samples[what][OURS]),
        how=how,
        floor=Summary.of(samples[what][name]),
        floor_name=f"{name} {version}".strip(),
        bound=READ_BOUND if what == "read" and not peer.plain else None,
        warm_up=0 if what in ("import", "memory") else BLOCK * WARM_UP,
        peer=name != FLOOR,
    )
