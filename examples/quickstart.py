"""Ten lines: declare, bind, use. Needs HOTCONFIG_DATABASE_URL and HOTCONFIG_REDIS_URL, and `hotconfig migrate` once."""

from pydantic import Field
from pydantic_settings import BaseSettings

import hotconfig


@hotconfig.settings(service="ai")
class AISettings(BaseSettings):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str = "gpt-4"


with hotconfig.HotConfig.from_env() as hc:
    ai = hc.bind(AISettings)
    print(f"threshold is {ai.threshold}; change it with: hotconfig set ai threshold 0.90")
    hc.on_change(ai, lambda change: print(f"{change.by} changed {set(change.keys)}: threshold is now {ai.threshold}"))
    input("Enter ends this program.\n")
