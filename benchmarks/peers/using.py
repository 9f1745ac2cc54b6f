"""How each library is set up, read and told of a new value. Imports nothing before it is asked to.

All hold one value, ``threshold``; Unleash, which knows switches only, holds a switch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple


def _nothing(_number: int) -> None:
    """Nothing has to be brought to the source."""


@dataclass(frozen=True, slots=True)
class Use:
    """A library that is set up. ``read`` is an expression over ``given``.

    ``bring(number)`` puts a new value where the library takes it from; ``reload(number)`` returns when reads give it.
    """

    read: str
    given: Any
    reload: Callable[[int], object]
    bring: Callable[[int], object] = _nothing
    switch: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """What a library is called, and how it is used. ``statement`` imports what a service would use of it."""

    name: str
    distribution: str
    statement: str
    use: Callable[[Servers], Use]
    reloads: str
    plain: bool = False
    """Reading it is reading an attribute of an ordinary instance."""
    whole: Callable[[Servers], Use] | None = None
    """What is resident of it is told of this, where ``use`` leaves out what a service has."""


REDIS: Final = "HOTCONFIG_BENCH_REDIS_URL"
DATABASE: Final = "HOTCONFIG_BENCH_DATABASE_URL"
"""As in ``benchmarks.places``, which would import more than one peer needs."""


class Servers(NamedTuple):
    """Where a library may connect to."""

    redis_url: str
    database_url: str


class _Plain:
    threshold: float = 0.75


def _attribute(_: Servers) -> Use:
    plain = _Plain()

    def reload(number: int) -> None:
        plain.threshold = float(number)

    return Use("given.threshold", plain, reload)


def _hotconfig(_: Servers) -> Use:
    from benchmarks.figures.read_figure import live_settings
    from hotconfig.core.chain import Change, ChangeSet, Head, genesis
    from hotconfig.core.wire import encode

    line, live = live_settings()
    service, keyring = "bench-ai", {1: bytes(32)}
    head, message = genesis(service), b""

    def bring(number: int) -> None:
        nonlocal head, message
        parent, head = head, Head(head.revision + 1, (head.revision + 1).to_bytes(32, "big"))
        changes = (Change("threshold", str(number)),)
        message = encode(ChangeSet(service, parent, head, changes, "", "bench"), keyring)

    def reload(_number: int) -> None:
        line.receive(f"config:{service}:@commits".encode(), message)
        line.flush()

    return Use("given.threshold", live, reload, bring)


def _bound(servers: Servers) -> Use:
    """With its drivers, connections and threads."""
    import hotconfig
    from benchmarks.declared import marked
    from benchmarks.places import SCHEMA

    client = hotconfig.HotConfig(servers.database_url, servers.redis_url, schema=SCHEMA)
    client.start()
    return Use("given[1].threshold", (client, client.bind(marked("bench-peers"))), _nothing)


def _pydantic_settings(_: Servers) -> Use:
    from pydantic_settings import BaseSettings

    class Settings(BaseSettings):
        threshold: float = 0.75
        model: str = "gpt-4"
        rate_limit: int = 1000
        log_level: str = "INFO"
        dark_mode: bool = False

    class Holder:
        settings = Settings()

    def bring(number: int) -> None:
        os.environ["THRESHOLD"] = str(number)

    def reload(_number: int) -> None:
        Holder.settings = Settings()

    return Use("given.settings.threshold", Holder, reload, bring)


def _dynaconf(servers: Servers) -> Use:
    from dynaconf import Dynaconf
    from dynaconf.loaders import redis_loader

    url = f"{servers.redis_url}?decode_responses=True"  # the loader takes text only
    settings = Dynaconf(envvar_prefix="HCBENCH", REDIS_ENABLED_FOR_DYNACONF=True, REDIS_URL_FOR_DYNACONF=url)
    redis_loader.write(settings, {"THRESHOLD": 0.75})
    settings.reload()
    return Use(
        "given.THRESHOLD",
        settings,
        lambda _number: settings.reload(),
        lambda number: redis_loader.write(settings, {"THRESHOLD": float(number)}),
    )


def _constance(servers: Servers) -> Use:
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["constance"],
        CONSTANCE_BACKEND="constance.backends.redisd.CachingRedisBackend",
        CONSTANCE_REDIS_CONNECTION=servers.redis_url,
        CONSTANCE_REDIS_PREFIX="hcbench:",
        CONSTANCE_CONFIG={"THRESHOLD": (0.75, "", float)},
    )
    django.setup()
    from constance import config

    config.THRESHOLD = 0.75
    backend = config._backend  # noqa: SLF001 - its cache is made to expire, which takes a minute otherwise

    def bring(number: int) -> None:
        config.THRESHOLD = float(number)
        backend._cache.clear()  # noqa: SLF001

    return Use("given.THRESHOLD", config, lambda _number: config.THRESHOLD, bring)


def _launchdarkly(_: Servers) -> Use:
    from ldclient import Config, Context, LDClient
    from ldclient.integrations.test_data import TestData

    source = TestData.data_source()
    source.update(source.flag("threshold").value_for_all(0.75))
    client = LDClient(Config("sdk-key", update_processor_class=source, send_events=False))
    context = Context.create("ann")

    def reload(number: int) -> None:
        source.update(source.flag("threshold").value_for_all(float(number)))

    return Use("given[0].variation('threshold', given[1], 0.5)", (client, context), reload)


def _openfeature(_: Servers) -> Use:
    from openfeature import api
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    def reload(number: float) -> None:
        flag: Any = InMemoryFlag("on", {"on": float(number)})
        api.set_provider_and_wait(InMemoryProvider({"threshold": flag}))

    reload(0.75)
    return Use("given.get_float_value('threshold', 0.5)", api.get_client(), reload)


def _unleash(_: Servers) -> Use:
    import tempfile

    from UnleashClient import UnleashClient
    from UnleashClient.cache import FileCache

    def state(enabled: bool) -> dict[str, Any]:
        feature = {"name": "threshold", "enabled": enabled, "strategies": [{"name": "default", "parameters": {}}]}
        return {"version": 2, "features": [feature]}

    directory = tempfile.mkdtemp(prefix="hotconfig-unleash-")
    cache = FileCache("hotconfig-bench", directory=directory)
    cache.bootstrap_from_dict(state(True))
    client = UnleashClient(
        "http://127.0.0.1:1/api",
        "hotconfig-bench",
        cache=cache,
        disable_metrics=True,
        disable_registration=True,
    )
    client.initialize_client(fetch_toggles=False)
    store = client._store  # noqa: SLF001 - what the SDK itself calls with what it has fetched

    def reload(number: int) -> None:
        store.apply_fetched(json.dumps(state(number % 2 == 0)))

    return Use("given.is_enabled('threshold')", client, reload, switch=True)


def _growthbook(_: Servers) -> Use:
    from growthbook import GrowthBook

    def features(number: float) -> dict[str, Any]:
        return {"threshold": {"defaultValue": float(number)}}

    client = GrowthBook(attributes={"id": "ann"}, features=features(0.75))
    return Use(
        "given.get_feature_value('threshold', 0.5)", client, lambda number: client.set_features(features(number))
    )


PEERS: Final[Mapping[str, Peer]] = {
    peer.name: peer
    for peer in (
        Peer("a plain attribute", "", "pass", _attribute, "the attribute is set", plain=True),
        Peer(
            "hotconfig",
            "hotconfig",
            "import hotconfig; hotconfig.settings, hotconfig.HotConfig",
            _hotconfig,
            "a signed message is verified, the whole class validated, and swapped; no server",
            whole=_bound,
        ),
        Peer(
            "pydantic-settings",
            "pydantic-settings",
            "import pydantic_settings; pydantic_settings.BaseSettings",
            _pydantic_settings,
            "the class is built anew from the environment",
            plain=True,
        ),
        Peer(
            "dynaconf",
            "dynaconf[redis]",
            "import redis, dynaconf; dynaconf.Dynaconf",
            _dynaconf,
            "settings.reload() with the Redis loader; goes to Redis",
        ),
        Peer(
            "django-constance",
            "django-constance[redis]",
            "import redis, django, constance",
            _constance,
            "CachingRedisBackend; the read after its cache expired, which goes to Redis",
        ),
        Peer(
            "LaunchDarkly",
            "launchdarkly-server-sdk",
            "import ldclient, ldclient.integrations.test_data; ldclient.LDClient",
            _launchdarkly,
            "TestData.update(); no server, no events",
        ),
        Peer(
            "OpenFeature",
            "openfeature-sdk",
            "from openfeature import api; import openfeature.provider.in_memory_provider",
            _openfeature,
            "InMemoryProvider set anew, which is how it takes new flags",
        ),
        Peer(
            "Unleash",
            "UnleashClient",
            "import UnleashClient; UnleashClient.UnleashClient",
            _unleash,
            "bootstrapped; what the SDK does with a document it has fetched, its file cache included; no server",
        ),
        Peer(
            "GrowthBook",
            "growthbook",
            "import growthbook; growthbook.GrowthBook",
            _growthbook,
            "set_features(); no server",
        ),
    )
}
