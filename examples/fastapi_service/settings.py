"""What may change while the service runs."""

from typing import Literal

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings

import hotconfig


@hotconfig.settings(service="ai")
class AISettings(BaseSettings):
    threshold: float = Field(0.75, ge=0, le=1, description="Scores above it raise an alarm.")
    model: str = "gpt-4"


@hotconfig.settings(service="api")
class APISettings(BaseModel):
    rate_limit: int | None = Field(None, gt=0, description="Requests per minute and caller; none: no limit.")


@hotconfig.settings(service="features")
class FeatureSettings(BaseModel):
    dark_mode: bool = False


@hotconfig.settings(service="logging")
class LoggingSettings(BaseModel):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
