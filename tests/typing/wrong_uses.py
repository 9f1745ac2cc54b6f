"""Wrong uses, each of which both checkers must refuse: a comment that suppresses nothing is an error itself.

Never run.
"""

from __future__ import annotations

from pydantic import BaseModel
from pydantic_settings import BaseSettings

import hotconfig
from hotconfig import Changed, HotConfig


@hotconfig.settings(service="ai")
class AISettings(BaseSettings):
    threshold: float = 0.75


@hotconfig.settings(service="email")
class EmailSettings(BaseSettings):
    max_retries: int = 3


class NotPydantic:
    threshold: float = 0.75


def declaring() -> None:
    hotconfig.settings()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hotconfig.settings("ai")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hotconfig.settings(AISettings)  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]
    hotconfig.settings(service=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    mark = hotconfig.settings(service="plain")
    mark(NotPydantic)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def binding(client: HotConfig) -> None:
    client.bind(NotPydantic)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    client.bind(AISettings())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.bind(AISettings, pins=["model"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.bind(AISettings, on_invalid="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ai: EmailSettings = client.bind(AISettings)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    client.bind(AISettings).treshold  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]  # noqa: B018
    hotconfig.snapshot(3)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    print(ai)  # noqa: T201


def listening(client: HotConfig) -> None:
    ai = client.bind(AISettings)

    def of_another_class(change: Changed[EmailSettings]) -> None:
        print(change)  # noqa: T201

    client.on_change(ai, of_another_class)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.on_change(ai)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.on_change(ai, print, "threshold")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def writing(client: HotConfig) -> None:
    ai = client.bind(AISettings)
    client.store.set(ai, threshold=0.9)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.store.set("ai", threshold=0.9, by="ann")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.store.set(ai, threshold=0.9, by="ann", expect="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.store.update(ai, ["threshold"], by="ann")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.store.delete(ai, BaseModel, by="ann")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.wait_for("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaiting(client: HotConfig) -> None:
    ai = client.bind(AISettings)
    await client.aio.store.set(ai, threshold=0.9)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.aio.bind(AISettings, on_invalid="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    iter(client.changes(ai))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue,reportArgumentType]
