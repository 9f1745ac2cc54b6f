"""The settings classes that are measured."""

from __future__ import annotations

from pydantic import Field, create_model
from pydantic_settings import BaseSettings

import hotconfig


class PlainSettings(BaseSettings):
    """What a service has without hotconfig; the twin of :class:`AISettings`."""

    threshold: float = Field(0.75, ge=0)
    model: str = "gpt-4"
    rate_limit: int = 1000
    log_level: str = "INFO"
    dark_mode: bool = False


@hotconfig.settings(service="bench-ai")
class AISettings(BaseSettings):
    """One service's settings. ``threshold`` has no upper bound, so that changes can be told apart by its value."""

    threshold: float = Field(0.75, ge=0)
    model: str = "gpt-4"
    rate_limit: int = 1000
    log_level: str = "INFO"
    dark_mode: bool = False


def wide(fields: int, service: str) -> type[BaseSettings]:
    """A marked class with many fields: ``field_0``, ``field_1``, …"""
    definitions: dict[str, tuple[type[int], int]] = {f"field_{number}": (int, number) for number in range(fields)}
    made = create_model("WideSettings", __base__=BaseSettings, **definitions)  # type: ignore[call-overload]
    return hotconfig.settings(service=service)(made)


def marked(service: str) -> type[PlainSettings]:
    """The twin under another service's name."""

    class Settings(PlainSettings):
        pass

    return hotconfig.settings(service=service)(Settings)
