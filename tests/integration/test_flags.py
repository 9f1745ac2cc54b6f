"""Live settings as flags, asked through OpenFeature's own client."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus
from pydantic import AnyUrl, BaseModel, SecretStr

import hotconfig
from hotconfig.flags import HotConfigProvider
from hotconfig.testing import MemoryHotConfig, in_memory
from tests.support.waiting import eventually


class Plan(Enum):
    FREE = "free"


class Limits(BaseModel):
    low: int = 1
    high: int = 9


@hotconfig.settings(service="features")
class Features(BaseModel):
    dark_mode: bool = False
    model: str = "gpt-4"
    threshold: float = 0.75
    whole: float = 2
    attempts: int = 3
    home: AnyUrl = AnyUrl("https://acme.example/")
    since: dt.date = dt.date(2026, 1, 2)
    price: Decimal = Decimal("9.90")
    plan: Plan = Plan.FREE
    limits: Limits = Limits()
    regions: tuple[str, ...] = ("eu", "us")
    maybe: bool | None = None
    hint: Annotated[str, hotconfig.Sensitive()] = "abc"
    token: SecretStr = SecretStr("secret")


@hotconfig.settings(service="shop.eu")
class Shop(BaseModel):
    dark_mode: bool = True


@pytest.fixture
def hc() -> Iterator[MemoryHotConfig]:
    with in_memory({"features": {"model": "gpt-5"}}, timing=hotconfig.Timing(reconcile_s=0.1)) as made:
        yield made


@pytest.fixture
def flags(hc: MemoryHotConfig) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(HotConfigProvider(hc, hc.bind(Features)), "acme")
    yield api.get_client("acme")
    api.clear_providers()


def test_fields_answer_for_flags_by_both_names(flags: OpenFeatureClient) -> None:
    assert flags.get_boolean_value("dark_mode", True) is False
    assert flags.get_string_value("features.model", "none") == "gpt-5"
    assert flags.get_float_value("threshold", 0.0) == 0.75
    assert flags.get_integer_value("attempts", 0) == 3
    details = flags.get_string_details("model", "none")
    assert (details.reason, details.error_code, details.variant) == (Reason.STATIC, None, None)
    number = flags.get_float_details("attempts", 0.0)
    assert (number.value, type(number.value), number.error_code) == (3.0, float, None)


@pytest.mark.parametrize(
    ("flag", "text"),
    [("home", "https://acme.example/"), ("since", "2026-01-02"), ("price", "9.90"), ("plan", "free")],
)
def test_what_json_writes_as_a_text_is_a_string(flags: OpenFeatureClient, flag: str, text: str) -> None:
    assert flags.get_string_value(flag, "none") == text


def test_models_and_lists_are_objects_and_copies(hc: MemoryHotConfig, flags: OpenFeatureClient) -> None:
    limits: Any = flags.get_object_value("limits", {})
    assert limits == {"low": 1, "high": 9}
    limits["low"] = 7
    assert flags.get_object_value("limits", {}) == {"low": 1, "high": 9}
    assert flags.get_object_value("regions", []) == ["eu", "us"]


def test_none_is_no_value_and_gives_the_default(flags: OpenFeatureClient) -> None:
    details = flags.get_boolean_details("maybe", True)
    assert (details.value, details.reason, details.error_code) == (True, Reason.DEFAULT, None)


@pytest.mark.parametrize(
    ("ask", "flag", "default"),
    [
        ("get_boolean_details", "attempts", True),
        ("get_integer_details", "dark_mode", 7),
        ("get_integer_details", "threshold", 7),
        ("get_float_details", "dark_mode", 7.0),
        ("get_string_details", "attempts", "seven"),
        ("get_object_details", "model", {"seven": 7}),
    ],
)
def test_another_type_is_an_error_and_gives_the_default(
    flags: OpenFeatureClient, ask: str, flag: str, default: object
) -> None:
    details = getattr(flags, ask)(flag, default)
    assert (details.value, details.reason, details.error_code) == (default, Reason.ERROR, ErrorCode.TYPE_MISMATCH)
    assert flag in details.error_message


@pytest.mark.parametrize("flag", ["nothing", "hint", "features.hint", "token", "features.token", "", "features."])
def test_what_is_no_flag_or_must_not_be_told_is_not_found(flags: OpenFeatureClient, flag: str) -> None:
    details = flags.get_string_details(flag, "default")
    assert (details.value, details.error_code) == ("default", ErrorCode.FLAG_NOT_FOUND)
    assert "secret" not in str(details)
    assert "abc" not in str(details)


def test_a_slip_of_the_pen_is_named(flags: OpenFeatureClient) -> None:
    assert "did you mean 'dark_mode'?" in str(flags.get_boolean_details("darkmode", True).error_message)


def test_changes_are_seen_and_told(hc: MemoryHotConfig, flags: OpenFeatureClient) -> None:
    told: list[EventDetails] = []
    flags.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, told.append)
    commit = hc.store.set(hc.bind(Features), dark_mode=True, hint="new", by="ann")
    hc.wait_for(commit)
    assert flags.get_boolean_value("dark_mode", False) is True
    eventually(lambda: told)
    assert told[0].flags_changed == ["dark_mode", "features.dark_mode"]
    assert told[0].metadata == {"service": "features", "revision": commit.revision}
    hc.wait_for(hc.store.set(hc.bind(Features), hint="newer", by="ann"))
    hc.wait_for(hc.store.set(hc.bind(Features), attempts=4, by="ann"))
    eventually(lambda: len(told) == 2)
    assert told[1].flags_changed == ["attempts", "features.attempts"]  # of what is no flag nothing was told


def test_an_outage_makes_values_stale_and_keeps_them(hc: MemoryHotConfig, flags: OpenFeatureClient) -> None:
    told: list[EventDetails] = []
    flags.add_handler(ProviderEvent.PROVIDER_STALE, told.append)
    with hc.memory.database_down():
        eventually(lambda: flags.get_provider_status() is ProviderStatus.STALE)
        details = flags.get_string_details("model", "none")
        assert (details.value, details.reason) == ("gpt-5", "STALE")
        assert "STALE" in str(told[0].message)
    eventually(lambda: flags.get_provider_status() is ProviderStatus.READY)
    assert flags.get_string_details("model", "none").reason == Reason.STATIC


def test_several_services_have_their_names(hc: MemoryHotConfig) -> None:
    api.set_provider_and_wait(HotConfigProvider(hc, hc.bind(Features), hc.bind(Shop)), "both")
    flags = api.get_client("both")
    assert flags.get_boolean_value("features.dark_mode", True) is False
    assert flags.get_boolean_value("shop.eu.dark_mode", False) is True
    assert flags.get_boolean_details("dark_mode", False).error_code is ErrorCode.FLAG_NOT_FOUND
    told: list[EventDetails] = []
    flags.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, told.append)
    hc.wait_for(hc.store.set(hc.bind(Shop), dark_mode=False, by="ann"))
    eventually(lambda: told)
    assert told[0].flags_changed == ["shop.eu.dark_mode"]
    api.clear_providers()


@pytest.mark.anyio
async def test_asynchronous_callers_have_the_same(flags: OpenFeatureClient) -> None:
    assert await flags.get_string_value_async("model", "none") == "gpt-5"


def test_overrides_of_tests_are_flags_too(hc: MemoryHotConfig, flags: OpenFeatureClient) -> None:
    from hotconfig.testing import override

    with override(hc.bind(Features), dark_mode=True):
        assert flags.get_boolean_value("dark_mode", False) is True
    assert flags.get_boolean_value("dark_mode", True) is False


def test_the_provider_leaves_the_client_open(hc: MemoryHotConfig, flags: OpenFeatureClient) -> None:
    api.clear_providers()
    hc.wait_for(hc.store.set(hc.bind(Features), attempts=5, by="ann"))
    assert hc.bind(Features).attempts == 5


def test_a_closed_client_is_no_provider_and_closing_makes_values_stale() -> None:
    with in_memory() as hc:
        features = hc.bind(Features)
        api.set_provider_and_wait(HotConfigProvider(hc, features), "closing")
        flags = api.get_client("closing")
    eventually(lambda: flags.get_provider_status() is ProviderStatus.STALE)
    assert flags.get_integer_value("attempts", 0) == 3
    api.set_provider(HotConfigProvider(hc, features), "closed")
    eventually(lambda: api.get_client("closed").get_provider_status() is ProviderStatus.FATAL)
    api.clear_providers()


def test_what_is_no_live_object_is_refused(hc: MemoryHotConfig) -> None:
    with pytest.raises(hotconfig.UsageError, match="needs live settings"):
        HotConfigProvider(hc)
    with pytest.raises(hotconfig.NotBoundError):
        HotConfigProvider(hc, Features())
    with pytest.raises(hotconfig.NotBoundError):
        HotConfigProvider(hc, Features)  # type: ignore[arg-type]


def test_without_the_sdk_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['openfeature'] = None; import hotconfig.flags"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'hotconfig[openfeature]'" in ran.stderr
