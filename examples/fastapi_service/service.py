"""A small API whose threshold, model, rate limit, log level and theme change while it serves.

Needs HOTCONFIG_DATABASE_URL, HOTCONFIG_REDIS_URL and `hotconfig migrate` once. Run with `uvicorn service:app`.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from limiter import Limiter
from pydantic import BaseModel, Field, JsonValue
from settings import AISettings, APISettings, FeatureSettings, LoggingSettings

import hotconfig

logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
logger = logging.getLogger("service")
hc = hotconfig.HotConfig.from_env()
limiter = Limiter()


@dataclass(frozen=True)
class Live:
    """The live objects. Bound once; read as ordinary attributes ever after."""

    ai: AISettings
    api: APISettings
    features: FeatureSettings
    logging: LoggingSettings

    @classmethod
    async def bound(cls) -> "Live":
        """Read the settings from PostgreSQL, and follow them from now on."""
        return cls(
            ai=await hc.aio.bind(AISettings),
            api=await hc.aio.bind(APISettings),
            features=await hc.aio.bind(FeatureSettings),
            logging=await hc.aio.bind(LoggingSettings),
        )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with hc:
        app.state.live = live = await Live.bound()
        logger.setLevel(live.logging.level)
        hc.on_change(live.logging, lambda change: logger.setLevel(change.new.level))
        yield


async def live_of(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


app = FastAPI(lifespan=lifespan)
Settings = Annotated[Live, Depends(live_of)]


async def admit(live: Settings, x_api_key: Annotated[str, Header()] = "anonymous") -> None:
    """Let a caller in, or answer 429, by the limit as it stands now."""
    retry_after_s = limiter.admit(x_api_key, live.api.rate_limit)
    if retry_after_s is not None:
        raise HTTPException(429, "too many requests", {"Retry-After": f"{retry_after_s:.0f}"})


@app.get("/score/{score}", dependencies=[Depends(admit)])
async def judge(score: float, live: Settings) -> dict[str, bool | str]:
    logger.debug("score %s against %s", score, live.ai.threshold)
    return {"alarm": score > live.ai.threshold, "model": live.ai.model}


@app.get("/theme")
async def theme(live: Settings) -> dict[str, str]:
    return {"theme": "dark" if live.features.dark_mode else "light"}


class Wanted(BaseModel):
    value: JsonValue
    reason: str = Field(min_length=3)


@app.put("/settings/{service}/{key}")
async def change(
    service: str, key: str, wanted: Wanted, live: Settings, x_auth_request_email: Annotated[str, Header()]
) -> dict[str, int]:
    """Write one setting. The proxy in front of this service says who asks; it lets nobody else set that header."""
    settings = vars(live).get(service)
    if settings is None:
        raise HTTPException(404, f"no service {service!r}; there are {', '.join(vars(live))}")
    try:
        commit = await hc.aio.store.update(settings, {key: wanted.value}, by=x_auth_request_email, reason=wanted.reason)
    except (hotconfig.InvalidValueError, hotconfig.UnknownKeyError) as error:
        raise HTTPException(422, str(error)) from error
    except hotconfig.RetryableError as error:
        raise HTTPException(503, str(error)) from error
    return {"revision": commit.revision}


@app.get("/livez")
async def livez() -> Response:
    return Response(status_code=200 if hc.healthy() else 503)


@app.get("/readyz")
async def readyz() -> Response:
    return Response(status_code=200 if hc.ready() else 503)
