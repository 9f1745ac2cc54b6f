"""Which of a trace goes into a message and out of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotconfig.core.tracecontext import MAX_TRACESTATE, NO_TRACE, bounded, trace_id

PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["traceparent", "tracestate"]), inner),
)


def test_a_well_formed_trace_goes_through_as_it_is() -> None:
    assert bounded({"traceparent": PARENT, "tracestate": "a=1,b=2"}) == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
    assert trace_id(bounded({"traceparent": PARENT})) == "ab" * 16
    assert trace_id(NO_TRACE) is None


@pytest.mark.parametrize(
    "parent",
    [
        PARENT + "0",
        PARENT[:-1],
        PARENT + "\n",
        PARENT.upper(),
        "01" + PARENT[2:],
        f"00-{'0' * 32}-{'cd' * 8}-01",
        f"00-{'ab' * 16}-{'0' * 16}-01",
        f"00-{'ab' * 16}-{'cd' * 8}-0٣",
        "x" * 1_000_000,
        7,
        [PARENT],
        None,
    ],
)
def test_a_malformed_parent_drops_the_trace(parent: object) -> None:
    assert bounded({"traceparent": parent, "tracestate": "a=1"}) == {}


@pytest.mark.parametrize("state", ["a=" + "1" * MAX_TRACESTATE, "", "a=\n", "a=é", 7, ["a=1"]])
def test_a_malformed_state_is_dropped_alone(state: object) -> None:
    assert bounded({"traceparent": PARENT, "tracestate": state}) == {"traceparent": PARENT}


def test_fields_of_any_other_name_stay_behind() -> None:
    assert bounded({"traceparent": PARENT, "baggage": "user=ann", "x": "y"}) == {"traceparent": PARENT}


@given(ANYTHING)
def test_anything_at_all_becomes_a_small_trace_or_none(raw: object) -> None:
    found = bounded(raw)
    assert set(found) <= {"traceparent", "tracestate"}
    assert sum(map(len, found.values())) <= 55 + MAX_TRACESTATE
