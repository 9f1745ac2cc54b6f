"""The six services of the demo and the eight changes made to them.

Owns the classes, as any application would write them, and the texts from and to which they change. Must not know how
a change travels or is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import BaseModel, Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

from hotconfig.core.declaration import service_of, settings
from hotconfig.core.text import TextRules


def _prefixed(service: str) -> SettingsConfigDict:
    """Keep variables such as ``LEVEL`` or ``URL`` that happen to be set out of the demo."""
    return SettingsConfigDict(env_prefix=f"HOTCONFIG_DEMO_{service.upper()}_")


@settings(service="ai")
class AISettings(BaseSettings):
    """``if score > settings.threshold``, and which model to ask."""

    model_config: ClassVar[SettingsConfigDict] = _prefixed("ai")

    threshold: float = Field(0.75, ge=0, le=1)
    model: str = "gpt-4"


@settings(service="email")
class EmailSettings(BaseSettings):
    """``retry < settings.max_retries``, and how long one call may take."""

    model_config: ClassVar[SettingsConfigDict] = _prefixed("email")

    max_retries: int = Field(3, ge=0)
    timeout_seconds: int = Field(30, gt=0)


@settings(service="webhook")
class WebhookSettings(BaseSettings):
    """Where to post."""

    model_config: ClassVar[SettingsConfigDict] = _prefixed("webhook")

    url: HttpUrl = HttpUrl("https://old.example")


@settings(service="api")
class APISettings(BaseSettings):
    """Requests per minute, above which the answer is HTTP 429; None: no limit."""

    model_config: ClassVar[SettingsConfigDict] = _prefixed("api")

    rate_limit: int | None = Field(None, gt=0)


@settings(service="logging")
class LoggingSettings(BaseSettings):
    """The level of the running logger."""

    model_config: ClassVar[SettingsConfigDict] = _prefixed("logging")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


@settings(service="features")
class FeatureSettings(BaseSettings):
    """A feature flag."""

    model_config: ClassVar[SettingsConfigDict] = _prefixed("features")

    dark_mode: bool = False


ALL_SETTINGS: Final[tuple[type[BaseModel], ...]] = (
    AISettings,
    EmailSettings,
    WebhookSettings,
    APISettings,
    LoggingSettings,
    FeatureSettings,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One change: ``key`` of ``settings_class`` goes from the text ``old`` to the text ``new``; None is SQL NULL."""

    settings_class: type[BaseModel]
    key: str
    old: str | None
    new: str | None

    @property
    def service(self) -> str:
        return service_of(self.settings_class)

    @property
    def what(self) -> str:
        """What changes, for people: ``ai.threshold``."""
        return f"{self.service}.{self.key}"


STEPS: Final = (
    Step(AISettings, "threshold", "0.75", "0.90"),
    Step(AISettings, "model", "gpt-4", "gpt-4o"),
    Step(EmailSettings, "max_retries", "3", "5"),
    Step(EmailSettings, "timeout_seconds", "30", "60"),
    Step(WebhookSettings, "url", "https://old.example", "https://new.example"),
    Step(APISettings, "rate_limit", None, "1000"),
    Step(LoggingSettings, "level", "INFO", "DEBUG"),
    Step(FeatureSettings, "dark_mode", "false", "true"),
)


def value_of(settings_class: type[BaseModel], key: str, text: str | None) -> object:
    """The value that the attribute has when PostgreSQL holds ``text``: what a process waits to see."""
    return TextRules(settings_class).read(key, text)


def text_of(settings_class: type[BaseModel], key: str, value: object) -> str | None:
    """The text that the store would write for ``value``. Of several texts for it, PostgreSQL may hold another."""
    return TextRules(settings_class).encode(key, value)
