"""The customer's services in one process of their own: each asks its settings whenever it has to decide something.

Run as ``python -m tests.acceptance.service`` with the usual environment. Reads one JSON request per line,
``{"call": name, "with": {arguments}}``, and answers with one JSON line.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Literal
from urllib.request import Request

from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

import hotconfig
from hotconfig.core.declaration import service_of

MINUTE_S: Final = 60.0


class ServiceSettings(BaseSettings):
    """Keeps variables such as ``URL`` or ``LEVEL`` that happen to be set out of the tests."""

    model_config = SettingsConfigDict(env_prefix="HOTCONFIG_TEST_")


@hotconfig.settings(service="ai")
class AISettings(ServiceSettings):
    threshold: float = Field(0.75, ge=0, le=1)
    model: Literal["gpt-4", "gpt-4o"] = "gpt-4"


@hotconfig.settings(service="email")
class EmailSettings(ServiceSettings):
    max_retries: int = 3
    timeout_seconds: int = 30


@hotconfig.settings(service="webhook")
class WebhookSettings(ServiceSettings):
    url: HttpUrl = HttpUrl("https://old.example")


@hotconfig.settings(service="api")
class APISettings(ServiceSettings):
    rate_limit: int | None = None


@hotconfig.settings(service="logging")
class LoggingSettings(ServiceSettings):
    level: Literal["DEBUG", "INFO", "WARNING"] = "INFO"


@hotconfig.settings(service="features")
class FeatureSettings(ServiceSettings):
    dark_mode: bool = False


class Services:
    """All six. Public methods are what can be called."""

    def __init__(self, client: hotconfig.HotConfig) -> None:
        self._ai = client.bind(AISettings)
        self._email = client.bind(EmailSettings)
        self._webhook = client.bind(WebhookSettings)
        self._api = client.bind(APISettings)
        self._logging = client.bind(LoggingSettings)
        self._features = client.bind(FeatureSettings)
        self._client = client
        self._logger = logging.getLogger("acceptance.application")
        self._handled_at_s: list[float] = []
        self._changed_at_s: dict[str, float] = {}
        self._tellings: list[dict[str, Any]] = []
        self._spectator: Spectator | None = None
        self._set_level()
        client.on_change(self._logging, lambda _: self._set_level(), key="level")
        for bound in (self._ai, self._email, self._webhook, self._api, self._logging, self._features):
            client.on_change(bound, self._note)

    # What the services do, one method for each row of the customer's table.

    def is_alarm(self, score: float) -> bool:
        return score > self._ai.threshold

    def pick_model(self) -> str:
        return self._ai.model

    def attempts_at_a_dead_mail_server(self) -> int:
        retry = 0
        while retry < self._email.max_retries:
            retry += 1
        return retry

    def deadline_of_the_next_call_s(self) -> float:
        return self._email.timeout_seconds

    def post_goes_to(self) -> str | None:
        return Request(str(self._webhook.url), data=b"{}", method="POST").host  # noqa: S310 - nothing is opened

    def answer_requests(self, count: int) -> list[int]:
        """HTTP statuses of ``count`` requests that arrive at once, within a fresh minute."""
        self._handled_at_s.clear()
        return [self._answer_request() for _ in range(count)]

    def _answer_request(self) -> int:
        now_s = time.monotonic()
        self._handled_at_s = [at_s for at_s in self._handled_at_s if at_s > now_s - MINUTE_S]
        limit = self._api.rate_limit
        if limit is not None and len(self._handled_at_s) >= limit:
            return 429
        self._handled_at_s.append(now_s)
        return 200

    def logs_debug_messages(self) -> bool:
        return self._logger.isEnabledFor(logging.DEBUG)

    def style_sheet(self) -> str:
        return "dark.css" if self._features.dark_mode else "light.css"

    # What the tests ask besides.

    def changed_at_s(self, service: str) -> float | None:
        """When the newest change of a service was told, by a clock that all processes of a machine share."""
        return self._changed_at_s.get(service)

    def tellings(self) -> list[dict[str, Any]]:
        """What the listeners were told so far."""
        return self._tellings

    def start_watching_email(self) -> None:
        """Look at two fields as often as possible, for a commit that is half visible."""
        self._spectator = Spectator(self._email)
        self._spectator.start()

    def stop_watching_email(self) -> dict[str, Any]:
        assert self._spectator is not None
        self._spectator.stop()
        return {"looks": self._spectator.looks, "seen": sorted(self._spectator.seen)}

    def email(self) -> dict[str, Any]:
        return self._email.model_dump()

    def _set_level(self) -> None:
        self._logger.setLevel(self._logging.level)

    def _note(self, change: hotconfig.Changed[Any]) -> None:
        self._changed_at_s[service_of(type(change.new))] = time.clock_gettime(time.CLOCK_MONOTONIC)
        self._tellings.append(
            {
                "service": change.service,
                "keys": sorted(change.keys),
                "revision": change.revision,
                "by": change.by,
                "reason": change.reason,
            }
        )


class Spectator(threading.Thread):
    """Takes snapshots of the e-mail settings without a pause and keeps what it saw."""

    def __init__(self, settings: EmailSettings) -> None:
        super().__init__(daemon=True)
        self.looks = 0
        self.seen: set[tuple[int, int]] = set()
        self._settings = settings
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            now = hotconfig.snapshot(self._settings)
            self.seen.add((now.max_retries, now.timeout_seconds))
            fields = self._settings.model_dump()
            self.seen.add((fields["max_retries"], fields["timeout_seconds"]))
            self.looks += 1

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def main() -> None:
    with hotconfig.HotConfig.from_env() as client:
        services = Services(client)
        print(json.dumps({"ready": True}), flush=True)  # noqa: T201
        for line in sys.stdin:
            request = json.loads(line)
            call: Callable[..., object] = getattr(services, request["call"])
            print(json.dumps({"answer": call(**request["with"])}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
