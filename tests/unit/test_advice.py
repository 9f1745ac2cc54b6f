"""What is said to whoever took a wrong turn: the thing by its name, and the way out."""

from __future__ import annotations

from collections.abc import Generator
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
