"""Live objects: swapped whole, sealed, and otherwise instances like any other."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import time
from collections.abc import Callable, Generator
from functools import cached_property
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, computed_field
from pydantic_settings import BaseSettings

from hotconfig.core import live as module
from hotconfig.core.declaration import settings
from hotconfig.core.errors import NotBoundError, ReadOnlySettingsError
from hotconfig.core.live import current, is_sealed, new_live, seal, swap

READ_S = 0.4
SEEN = 20


@settings(service="ai")
class AI(BaseSettings):
    threshold: float = 0.75
    model: str = "gpt-4"


@settings(service="pair")
class Pair(BaseModel):
    a: int = 0
    b: int = 0
    c: list[int] = []


@settings(service="frozen")
class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: int = 0


@settings(service="rich")
class Rich(BaseModel):
    model_config = ConfigDict(extra="allow", validate_assignment=True)
    a: int = 1
    _hidden: int = PrivateAttr(default=0)

    def model_post_init(self, _: object, /) -> None:
        self._hidden = self.a * 10

    @cached_property
    def tripled(self) -> int:
        return self.a * 3

    @computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> int:
        return self.a * 2

    @property
    def negative(self) -> int:
        return -self.a


def made(instance: Any) -> Any:
    seal(instance)
    return instance


def test_a_live_object_is_an_instance_of_the_users_class_and_equals_an_ordinary_one() -> None:
    live = new_live(made(AI(threshold=0.5)))
    assert type(live) is AI
    assert live == AI(threshold=0.5)
    assert AI(threshold=0.5) == live
    assert live != AI(threshold=0.6)
    assert repr(live) == repr(AI(threshold=0.5))
    assert live.model_dump() == {"threshold": 0.5, "model": "gpt-4"}


def test_a_swap_shows_everything_of_the_new_and_leaves_the_old_alone() -> None:
    first, second = made(Rich(a=1, more="x")), made(Rich(a=2))
    live = new_live(first)
    assert (live.a, live.doubled, live.tripled, live.negative, live._hidden) == (1, 2, 3, -1, 10)
    assert live.model_extra == {"more": "x"}
    assert live.model_fields_set == {"a", "more"}
    swap(live, second)
    assert (live.a, live.doubled, live.tripled, live.negative, live._hidden) == (2, 4, 6, -2, 20)
    assert live.model_extra == {}
    assert live.model_fields_set == {"a"}
    assert first.model_dump() == {"a": 1, "doubled": 2, "more": "x"}
    assert not hasattr(live, "more")


def test_current_is_the_candidate_itself() -> None:
    first, second = made(AI(threshold=0.1)), made(AI(threshold=0.2))
    live = new_live(first)
    assert current(live) is first
    swap(live, second)
    assert current(live) is second
    swap(live, first)
    assert current(live) is first
    assert current(first) is first


def test_an_ordinary_object_has_no_current() -> None:
    with pytest.raises(NotBoundError, match="use the one that bind"):
        current(AI())


@pytest.mark.parametrize("make", [AI, lambda: Frozen(a=1), lambda: Rich(a=1)], ids=["plain", "frozen", "rich"])
def test_assigning_and_deleting_raise_with_advice_on_live_objects_and_snapshots(make: Callable[[], Any]) -> None:
    snapshot = made(make())
    for sealed in (new_live(snapshot), snapshot):
        name = next(iter(type(sealed).model_fields))
        before = sealed.model_dump()
        for attempted in (name, "unheard_of", "_hidden", "__dict__"):
            with pytest.raises(ReadOnlySettingsError, match=r"store\.set\(.*model_copy"):
                setattr(sealed, attempted, {})
            with pytest.raises(ReadOnlySettingsError, match=r"store\.set\(.*model_copy"):
                delattr(sealed, attempted)
        assert sealed.model_dump() == before


def test_the_refusal_is_an_attribute_error_that_names_class_and_field_but_no_value() -> None:
    live = new_live(made(AI()))
    with pytest.raises(AttributeError, match=r"^AI\.threshold cannot be assigned to") as caught:
        live.threshold = 4711.0
    assert "4711" not in str(caught.value)


def test_ordinary_instances_stay_what_they_were() -> None:
    ordinary = AI()
    ordinary.threshold = 0.1
    assert ordinary.threshold == 0.1
    assert ordinary.model_fields_set == {"threshold"}
    del ordinary.threshold
    assert "threshold" not in ordinary.__dict__
    rich = Rich()
    rich._hidden = 5
    rich.extra_one = 1  # type: ignore[attr-defined]
    assert (rich._hidden, rich.model_extra) == (5, {"extra_one": 1})
    with pytest.raises(ValidationError):
        rich.a = "no number"  # type: ignore[assignment]
    with pytest.raises(ValidationError, match="frozen"):
        Frozen().a = 1  # type: ignore[misc]


COPIES: dict[str, Callable[[Any], Any]] = {
    "model_copy": lambda live: live.model_copy(),
    "model_copy_deep": lambda live: live.model_copy(deep=True),
    "model_copy_update": lambda live: live.model_copy(update={"b": 2}),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda live: pickle.loads(pickle.dumps(live)),  # noqa: S301 - its own bytes
    "validate": lambda live: type(live).model_validate(live.model_dump()),
    "construct": lambda live: type(live).model_construct(**live.model_dump()),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_ordinary_and_stand_apart(how: str) -> None:
    first = made(Pair(a=1, b=2))
    live = new_live(first)
    for source in (live, first):
        twin = COPIES[how](source)
        assert type(twin) is Pair
        assert twin == Pair(a=1, b=2)
        assert not is_sealed(twin)
        twin.a = 7
        assert twin.a == 7
    swap(live, made(Pair(a=3)))
    assert twin.a == 7
    assert (first.a, live.a) == (1, 3)


@pytest.mark.parametrize("how", ["copy", "deepcopy", "model_copy", "pickle"])
def test_copies_keep_private_attributes_and_extras(how: str) -> None:
    twin = COPIES[how](new_live(made(Rich(a=4, more=5))))
    assert (twin._hidden, twin.model_extra, twin.model_fields_set) == (40, {"more": 5}, {"a", "more"})
    twin._hidden = 1


def test_validating_a_live_object_again_gives_no_way_in() -> None:
    live = new_live(made(Pair(a=1)))
    assert Pair.model_validate(live) is live
    assert is_sealed(live)


def test_a_subclass_of_a_marked_class_is_sealed_too() -> None:
    class More(Pair):
        d: int = 4

    live = new_live(made(More(a=1)))
    with pytest.raises(ReadOnlySettingsError, match=r"^More\.d"):
        live.d = 5
    More().d = 5


def test_a_users_own_setattr_still_runs_on_ordinary_instances() -> None:
    seen: list[str] = []

    @settings(service="own")
    class Own(BaseModel):
        a: int = 1

        def __setattr__(self, name: str, value: Any) -> None:
            seen.append(name)
            super().__setattr__(name, value)

    Own().a = 2
    assert seen == ["a"]
    with pytest.raises(ReadOnlySettingsError):
        made(Own()).a = 3
    assert seen == ["a"]


def test_objects_that_reuse_the_id_of_a_dead_one_are_not_sealed() -> None:
    lives = [new_live(made(Pair(a=1))) for _ in range(200)]
    dead = {id(live) for live in lives}
    lives.clear()
    fresh = [Pair() for _ in range(1000)]
    assert dead & {id(instance) for instance in fresh}
    for instance in fresh:
        assert not is_sealed(instance)
        instance.a = 2
        with pytest.raises(NotBoundError):
            current(instance)


def test_sealed_objects_that_die_in_a_cycle_leave_nothing() -> None:
    ours: set[int] = set()
    for _ in range(50):
        cycle: list[object] = [made(Rich(a=1))]
        cycle += [new_live(cycle[0]), cycle]  # type: ignore[type-var]
        ours |= set(map(id, cycle[:2]))
    assert ours & module._sealed.keys()
    del cycle
    gc.collect()
    assert not ours & (module._sealed.keys() | module._shown.keys())


@pytest.fixture
def hasty_threads() -> Generator[None]:
    """Let threads change as often as the interpreter allows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
@pytest.mark.parametrize(
    "view",
    [
        lambda live: live.model_dump(),
        dict,
        lambda live: live.model_copy().__dict__,
        lambda live: current(live).__dict__,
        lambda live: current(live).model_dump(),
    ],
    ids=["model_dump", "iteration", "copy", "current", "current_dump"],
)
def test_no_reader_sees_half_of_a_swap(view: Callable[[Pair], dict[str, Any]]) -> None:
    live = new_live(made(Pair(a=0, b=0, c=[0])))
    start, stop = threading.Barrier(4), threading.Event()
    torn: list[dict[str, Any]] = []
    seen = [0, 0, 0]

    def read(who: int) -> None:
        start.wait(5)
        last = -1
        while not stop.is_set():
            values = view(live)
            if not values["a"] == values["b"] == values["c"][0] or values["a"] < last:
                torn.append(values)
            seen[who] += values["a"] != last
            last = values["a"]

    readers = [threading.Thread(target=read, args=[who]) for who in range(3)]
    for reader in readers:
        reader.start()
    start.wait(5)
    begin_s = time.monotonic()
    number = 0
    # For as long as a busy machine needs until everybody has read while swaps happened.
    while (passed_s := time.monotonic() - begin_s) < READ_S or (min(seen) < SEEN and passed_s < 30):
        number += 1
        swap(live, made(Pair(a=number, b=number, c=[number])))
    stop.set()
    for reader in readers:
        reader.join(5)
    assert torn == []
    assert min(seen) >= SEEN
    assert live.a == number
