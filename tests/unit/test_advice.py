"""What is said to whoever took a wrong turn: the thing by its name, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

import hotconfig
from hotconfig.core.names import check_key
from hotconfig.testing import in_memory

URL = "postgresql://ann:hidden@one/app"


@pytest.mark.parametrize("urls", [(None, None), (b"hidden", None), (URL, 7), (None, "redis://127.0.0.1")])
def test_a_url_that_is_no_text_is_refused_by_the_constructor(urls: tuple[Any, Any]) -> None:
    with pytest.raises(hotconfig.ConfigurationError, match="has to be a str") as caught:
        hotconfig.HotConfig(*urls)
    assert "hidden" not in str(caught.value)


class Retry(BaseModel):
    attempts: int = 3
    delay_s: float = 0.5


@hotconfig.settings(service="orders")
class OrderSettings(BaseModel):
    limit: int = 10
    retry: Retry = Retry()


class Login(BaseModel):
    user: str = "app"
    password: SecretStr = SecretStr("")


class Server(BaseModel):
    host: str = "smtp.acme.example"
    logins: list[Login] = []
    next: Server | None = None


@hotconfig.settings(service="mail")
class MailSettings(BaseModel):
    server: Server | None = None
    token: SecretStr = SecretStr("")


WRONG: dict[str, tuple[Callable[[hotconfig.HotConfig, Any], object], type[Exception], str]] = {
    "bind a text": (lambda hc, _: hc.bind(as_any("m")), hotconfig.UsageError, "pass one, not a str"),
    "bind an object": (lambda hc, _: hc.bind(as_any(Retry())), hotconfig.UsageError, "pass Retry, not an instance"),
    "set by name": (lambda hc, _: hc.store.set(as_any("orders"), limit=1, by="ann"), hotconfig.UsageError, "not a str"),
    "listen by name": (lambda hc, _: hc.on_change(as_any("orders"), print), hotconfig.UsageError, "not a str"),
    "wait for a text": (lambda hc, _: hc.wait_for(as_any("x")), hotconfig.UsageError, "what store returned"),
    "snapshot of a class": (
        lambda _, __: hotconfig.snapshot(as_any(OrderSettings)),
        hotconfig.NotBoundError,
        "is a class",
    ),
    "expect a commit": (
        lambda hc, orders: hc.store.set(orders, limit=1, by="ann", expect=as_any(orders)),
        hotconfig.UsageError,
        "number of a revision",
    ),
    "by a number": (lambda hc, orders: hc.store.set(orders, limit=1, by=as_any(5)), hotconfig.UsageError, "by= must"),
    "for no text": (
        lambda hc, orders: hc.store.set(orders, limit=1, by="ann", reason=as_any(5)),
        hotconfig.UsageError,
        "reason= takes",
    ),
    "delete a list": (
        lambda hc, orders: hc.store.delete(orders, as_any(["limit"]), by="ann"),
        hotconfig.UsageError,
        "one by one",
    ),
    "update with an object": (
        lambda hc, orders: hc.store.update(orders, as_any(orders), by="ann"),
        hotconfig.UsageError,
        "dict of values by key",
    ),
}


def as_any(value: object) -> Any:
    """What a program without a type checker passes."""
    return value


@pytest.fixture
def hc() -> Generator[hotconfig.HotConfig]:
    with in_memory() as client:
        yield client


def test_a_part_of_a_nested_model_is_written_with_the_whole_of_it(hc: hotconfig.HotConfig) -> None:
    orders = hc.bind(OrderSettings)
    with pytest.raises(hotconfig.UnknownKeyError, match=r"settings\.retry\.model_copy\(update=\{\"attempts\": "):
        hc.store.update(orders, {"retry.attempts": 5}, by="ann")
    with pytest.raises(hotconfig.DeclarationError, match="nested model"):
        check_key("retry.attempts")
    hc.wait_for(hc.store.set(orders, retry=orders.retry.model_copy(update={"attempts": 5}), by="ann"))
    assert orders.retry == Retry(attempts=5)
    with pytest.raises(hotconfig.InvalidValueError):
        hc.store.set(orders, retry=orders.retry.model_copy(update={"attempts": "many"}), by="ann")
    with pytest.raises(hotconfig.InvalidValueError, match=r"2\.0 and not 2"):
        hc.store.set(orders, retry=orders.retry.model_copy(update={"delay_s": 2}), by="ann")


def test_a_secret_within_a_nested_model_is_named(hc: hotconfig.HotConfig) -> None:
    mail = hc.bind(MailSettings)
    with pytest.raises(
        hotconfig.SecretValueError, match=r"in server\.logins\.password, .* a field of its own"
    ) as caught:
        hc.store.set(mail, server=Server(), by="ann")
    assert "server.next" not in str(caught.value)
    with pytest.raises(hotconfig.SecretValueError, match="key 'token' holds a secret, and secrets"):
        hc.store.set(mail, token="hidden", by="ann")


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_meant_is_told_what_is_meant(hc: hotconfig.HotConfig, wrong: str) -> None:
    action, kind, said = WRONG[wrong]
    orders = hc.bind(OrderSettings)
    with pytest.raises(kind, match=said):
        action(hc, orders)


def test_who_waits_where_nothing_is_bound_is_told_to_bind(hc: hotconfig.HotConfig) -> None:
    with pytest.raises(hotconfig.NotBoundError, match="nothing is bound here"):
        hc.wait_for(1)


def test_who_listens_after_the_end_is_told_so() -> None:
    with in_memory() as hc:
        orders = hc.bind(OrderSettings)
    with pytest.raises(hotconfig.NotStartedError, match="closed"):
        hc.on_change(orders, print)


@pytest.mark.anyio
async def test_async_code_is_told_how_to_start() -> None:
    with pytest.raises(hotconfig.NotStartedError, match="`async with`"):
        await in_memory().aio.bind(OrderSettings)
