"""How long a round trip takes: through PostgreSQL, through Redis, and from a commit to an attribute."""

from __future__ import annotations

import secrets
import select
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from statistics import median
from time import monotonic, perf_counter
from typing import Final

from pydantic import BaseModel

from hotconfig.cli.catalog import DOCTOR
from hotconfig.core.declaration import settings
from hotconfig.core.errors import AccessDeniedError, HotConfigError, RedisUnavailableError
from hotconfig.core.finding import Finding, ok
from hotconfig.core.names import PREFIX, key_channel, service_pattern
from hotconfig.core.ports import Confirmed, Event, Message, Subscription

SERVICE: Final = DOCTOR
ROUNDS: Final = 20
COMMITS: Final = 3
BUDGET_MS: Final = 100.0
"""What a change may take until it is seen."""
DEADLINE_S: Final = 2.0
_BATCH: Final = 100
_SLOW: Final = "changes are meant to be seen within {:g} ms: look at the network between here and there"


def time_database(url: str) -> Iterator[Finding]:
    """``SELECT 1``, twenty times."""
    from hotconfig.postgres.connect import open_session, translated  # noqa: PLC0415 - psycopg may find no libpq

    try:
        with open_session(url, application_name="hotconfig doctor") as session, translated(url, "SELECT 1"):
            yield _timed(
                "PostgreSQL round trip", (_span_ms(lambda: session.execute("SELECT 1")) for _ in range(ROUNDS))
            )
    except HotConfigError as error:
        yield Finding("PostgreSQL round trip", "problem", "it did not work", str(error))


def time_news(url: str) -> Iterator[Finding]:
    """PUBLISH until the own subscription hears it, twenty times."""
    from hotconfig.redis.connect import open_client  # noqa: PLC0415 - redis is slow to import

    name = "Redis round trip"
    try:
        with (
            closing(open_client(url, client_name="hotconfig-doctor")) as client,
            closing(open_ear(url)[0]) as subscription,
        ):
            client.ping()  # connected before the clock runs

            def round_trip() -> None:
                token = secrets.token_hex(8).encode()
                client.publish(key_channel(SERVICE, "probe"), token)
                await_event(subscription, lambda event: isinstance(event, Message) and event.data == token)

            yield _timed(name, (_span_ms(round_trip) for _ in range(ROUNDS)))
    except HotConfigError as error:
        yield Finding(name, "problem", "it did not work", str(error))


def open_ear(url: str, service: str = SERVICE) -> tuple[Subscription, str]:
    """A subscription that was confirmed, and the pattern: a service's own, or that of all where only this is allowed.

    Raises:
        AccessDeniedError: the user may subscribe to neither; it is about the service's own.
        RedisUnavailableError, ConfigurationError
    """
    try:
        return _confirmed(url, service, subscribe_all=False), service_pattern(service)
    except AccessDeniedError as error:
        try:
            return _confirmed(url, service, subscribe_all=True), f"{PREFIX}*"
        except AccessDeniedError:
            raise error from None


def _confirmed(url: str, service: str, *, subscribe_all: bool) -> Subscription:
    from hotconfig.redis.connect import find_route  # noqa: PLC0415 - redis is slow to import
    from hotconfig.redis.sharded import open_subscription  # noqa: PLC0415

    subscription = open_subscription(find_route(url), [service], subscribe_all=subscribe_all)
    try:
        await_event(subscription, lambda event: isinstance(event, Confirmed))  # a refusal comes as an answer, too
    except BaseException:
        subscription.close()
        raise
    return subscription


def time_everything(database_url: str, redis_url: str | None, schema: str) -> Iterator[Finding]:
    """Real commits to the reserved service, until an attribute here has the value."""
    from hotconfig.runtime.client import HotConfig  # noqa: PLC0415 - pulls in both drivers

    @settings(service=SERVICE)
    class Probe(BaseModel):
        probe: str = ""

    name = "commit and attribute"
    try:
        with HotConfig(database_url, redis_url, schema=schema) as hotconfig:
            live = hotconfig.bind(Probe)

            def change() -> tuple[float, float]:
                token, begun = secrets.token_hex(8), perf_counter()
                commit = hotconfig.store.set(live, probe=token, by="hotconfig doctor", reason="doctor --write")
                written = perf_counter()
                hotconfig.wait_for(commit)
                return (written - begun) * 1000, (perf_counter() - begun) * 1000

            change()  # connects the writer
            spans = [change() for _ in range(COMMITS)]
            yield _timed("commit", (written for written, _ in spans))
            yield _timed("commit and attribute", (seen for _, seen in spans))
    except HotConfigError as error:
        yield Finding(name, "problem", "it did not work", str(error))


def await_event(subscription: Subscription, wanted: Callable[[Event], bool]) -> None:
    """Wait for the first event that is wanted.

    Raises:
        RedisUnavailableError: none came within ``DEADLINE_S``.
        AccessDeniedError: the user may not subscribe.
    """
    deadline = monotonic() + DEADLINE_S
    events: list[Event] = []
    while (left := deadline - monotonic()) > 0:
        if len(events) < _BATCH:  # else more may lie in its buffers, where select does not see it
            select.select([subscription.fileno()], [], [], left)
        events = subscription.receive(_BATCH)
        if any(wanted(event) for event in events):
            return
    raise RedisUnavailableError(f"what was published did not come back within {DEADLINE_S:g} s")


def _span_ms(step: Callable[[], object]) -> float:
    begun = perf_counter()
    step()
    return (perf_counter() - begun) * 1000


def _timed(check: str, spans_ms: Iterable[float]) -> Finding:
    spans = list(spans_ms)
    found = f"p50 {median(spans):.2f} ms, max {max(spans):.2f} ms, {len(spans)} times"
    if median(spans) >= BUDGET_MS / 2:
        return Finding(check, "warning", found, _SLOW.format(BUDGET_MS))
    return ok(check, found)
