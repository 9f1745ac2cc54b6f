"""What a kube-apiserver 1.36 answered, asked again: of the double, and of a real server where there is one.

The 63 recorded exchanges are replayed in order, once per server; each is then a test of its own. What is masked, and
why, stands in :mod:`tests.support.exchanges`.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support.apiservers import has_real_server, the_double, the_real_one
from tests.support.exchanges import EXCHANGES, Replay

SERVERS = ["double"]
if has_real_server() or os.environ.get("HOTCONFIG_NO_SKIPS") != "1":
    SERVERS.append("real")


@pytest.fixture(scope="module", params=SERVERS)
def replay(request: pytest.FixtureRequest) -> Replay:
    with the_double() if request.param == "double" else the_real_one() as server:
        replay = Replay(server)
        replay.run()
    return replay


def named(exchange: dict[str, Any]) -> str:
    return str(exchange["title"])


@pytest.mark.parametrize("number", range(len(EXCHANGES)), ids=[named(exchange) for exchange in EXCHANGES])
def test_the_answer_is_the_recorded_one(replay: Replay, number: int) -> None:
    wanted, found = replay.outcomes[number]
    assert found == wanted


def test_no_recorded_exchange_is_left_out(replay: Replay) -> None:
    assert len(replay.outcomes) == len(EXCHANGES) == 63
