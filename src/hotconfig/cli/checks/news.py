"""Redis: reachable, which one, how it treats slow subscribers, and what this user may do there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final

import redis
from redis.exceptions import NoPermissionError

from hotconfig.cli.checks.rounds import SERVICE, open_ear
from hotconfig.cli.checks.topology import check_topology
from hotconfig.core.encryption import judge_encryption
from hotconfig.core.errors import AccessDeniedError, HotConfigError, RedisUnavailableError
from hotconfig.core.finding import Finding, ok
from hotconfig.core.names import commits_channel, service_pattern
from hotconfig.redis.connect import describe, find_route, open_client, translate
from hotconfig.redis.route import Route
from hotconfig.redis.url import parse_redis_url

MIN_HARD_BYTES: Final = 8 * 2**20
MIN_SOFT_BYTES: Final = 2 * 2**20
_AWAY: Final = "Start it, or correct HOTCONFIG_REDIS_URL; programs run on without it"
_BUFFERS: Final = "client-output-buffer-limit"
_EVICTION: Final = (
    "a subscriber that reads too slowly is cut off at these limits and loses what was published meanwhile; hotconfig "
    "notices and reads PostgreSQL"
)
_CHANNEL: Final = re.compile(r"(?i)no permissions? to access .*channel")
_ROOMIER: Final = f"{_EVICTION}. Better: CONFIG SET {_BUFFERS} 'pubsub 32mb 8mb 60'"


def check_news(url: str, services: Iterable[str] = ()) -> Iterator[Finding]:
    """Everything about the server and its user; stops at what makes the rest impossible.

    ``services``: those that programs with this URL follow.
    """
    where = describe(url)
    yield from check_topology(url)
    try:
        client: Any = open_client(url, client_name="hotconfig-doctor")
    except HotConfigError as error:
        yield Finding("Redis", "problem", "cannot be used", _with_way_out(error))
        return
    with closing(client):
        try:
            client.ping()
        except (redis.RedisError, OSError) as error:
            said = translate(error, url, "PING")
            yield Finding("Redis", "problem", f"cannot be used at {where}", _with_way_out(said))
            return
        server = list(_check_server(client, where))
        yield from server
        if any(finding.state == "problem" for finding in server):
            return
        yield _check_encryption(client, url)
        yield _check_buffers(client)
        yield from _check_rights(client, url)
    for service in services:
        yield _check_following(url, service)


def _with_way_out(error: HotConfigError) -> str:
    """What is wrong, and what to do where the message does not say it: the server is not there."""
    return f"{str(error).rstrip('.')}. {_AWAY}" if isinstance(error, RedisUnavailableError) else str(error)


def _check_server(client: Any, where: str) -> Iterator[Finding]:
    try:
        info: dict[str, Any] = client.info()
    except (redis.RedisError, OSError):
        yield ok("Redis", f"answers at {where}; which version it will not tell this user")
        return
    if info.get("redis_mode") == "sentinel":
        way_out = (
            "write redis+sentinel://…/<name of the master>/0: a Sentinel names the server, and tells no news itself"
        )
        yield Finding("Redis", "problem", f"{flavour(info)} at {where} is a Sentinel", way_out)
        return
    yield ok("Redis", f"{flavour(info)} at {where}")
    used, allowed = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    if not allowed:
        return
    found = f"{used} of {allowed} in use"
    if used > 0.8 * allowed:
        yield Finding("clients", "warning", found, "each program with hotconfig takes one or two: raise maxclients")
    else:
        yield ok("clients", found)


def _check_encryption(client: Any, url: str) -> Finding:
    said = parse_redis_url(url)
    # A master that Sentinels named, a node of the cluster; none of a unix socket.
    led_to = client.connection_pool.connection_kwargs.get("host")
    lax = str(said.options.get("ssl_cert_reqs", "required")) == "none"
    return judge_encryption(
        "Redis encryption",
        [*(address.host for address in said.addresses), *([led_to] if led_to else [])],
        encrypted=url.startswith("rediss"),
        verified=not lax and bool(said.options.get("ssl_check_hostname", True)),
        exposed="values",
        way_out="begin HOTCONFIG_REDIS_URL with rediss:// or rediss+…://, and leave verification on",
    )


def flavour(info: Mapping[str, Any]) -> str:
    """Name, version and mode of the server, from INFO."""
    name = next((name for name in ("valkey", "dragonfly") if f"{name}_version" in info), "redis")
    version = info.get(f"{name}_version", info.get("redis_version", "of unknown version"))
    mode = info.get("server_mode", info.get("redis_mode", ""))
    return f"{name.capitalize()} {version}{f' ({mode})' if mode else ''}"


def _check_buffers(client: Any) -> Finding:
    try:
        said: dict[str, str] = client.config_get(_BUFFERS)
    except (redis.RedisError, OSError):
        said = {}
    if _BUFFERS not in said:
        return Finding("eviction", "note", f"{_BUFFERS} is not told to this user", f"{_EVICTION}. Ask who runs it")
    return judge_buffers(said[_BUFFERS])


def judge_buffers(setting: str) -> Finding:
    """What ``normal 0 0 0 … pubsub <hard> <soft> <seconds>`` means for subscribers; 0 is no limit."""
    words = setting.split()
    try:
        at = words.index("pubsub")
        hard, soft, seconds = (int(word) for word in words[at + 1 : at + 4])
    except ValueError:
        return Finding("eviction", "note", f"{_BUFFERS} has no limits for pubsub that can be read", _EVICTION)
    found = f"pubsub: {_size(hard)} at once, {_size(soft)} for {seconds} s"
    tight = 0 < hard < MIN_HARD_BYTES or 0 < soft < MIN_SOFT_BYTES
    return Finding("eviction", "warning", found, _ROOMIER) if tight else ok("eviction", found)


def _size(size: int) -> str:
    if not size:
        return "no limit"
    return f"{size / 2**20:g} MB" if size >= 2**20 else f"{size / 2**10:g} KB"


def _check_rights(client: Any, url: str) -> Iterator[Finding]:
    publishing = _check_publishing(client, url)
    yield _check_subscribing(url, publishes=publishing.state == "ok")
    yield publishing


def _check_subscribing(url: str, *, publishes: bool) -> Finding:
    try:
        ear, heard = open_ear(url)
        ear.close()
    except AccessDeniedError as error:
        if publishes:
            return Finding(
                "subscribing",
                "warning",
                "this user can announce and not follow",
                "right for a tool that only writes; a program with live settings needs +subscribe +psubscribe +ping "
                "and the channels &config:<service>:*",
            )
        if is_about_channel(error):
            return Finding(
                "subscribing",
                "note",
                f"this user may not subscribe to {service_pattern(SERVICE)}",
                f"so hearing is neither tried nor timed here; for that it needs &{service_pattern(SERVICE)}. Programs "
                "are not affected: each needs the channels of its own services, &config:<service>:*",
            )
        return Finding("subscribing", "problem", "this user may not hear a service's news", str(error))
    except HotConfigError as error:
        return Finding("subscribing", "problem", "it did not work", str(error))
    return ok("subscribing", f"this user may subscribe to {heard}")


def _check_following(url: str, service: str) -> Finding:
    """Whether programs with this URL can follow ``service``."""
    check = f"following {service}"
    try:
        ear, heard = open_ear(url, service)
        ear.close()
    except AccessDeniedError as error:
        found = f"this user may not subscribe to {service_pattern(service)}"
        return Finding(check, "problem", found, f"programs that follow it need &{service_pattern(service)}: {error}")
    except HotConfigError as error:
        return Finding(check, "problem", "it did not work", str(error))
    return ok(check, f"this user may subscribe to {heard}")


def is_about_channel(error: AccessDeniedError) -> bool:
    """Whether the user may subscribe, and only not to what was asked for."""
    return _CHANNEL.search(str(error)) is not None


def _check_publishing(client: Any, url: str) -> Finding:
    route = find_route(url)
    try:
        client.publish(f"config:{SERVICE}:rights", b"")
        if route.url.sharded:
            _publish_sharded(route)
    except HotConfigError as error:
        return Finding("publishing", "problem", "sharded publish, as the URL wants it, did not work", str(error))
    except NoPermissionError:
        return Finding(
            "publishing",
            "note",
            f"this user may not publish to config:{SERVICE}:*",
            f"right for readers; a writer needs +publish{' +spublish' if route.url.sharded else ''} and the channels "
            "&config:*",
        )
    except (redis.RedisError, OSError) as error:
        return Finding("publishing", "problem", "it did not work", str(translate(error, url, "publish")))
    return ok("publishing", f"this user may publish to config:{SERVICE}:*")


def _publish_sharded(route: Route) -> None:
    """As a writer does.

    Raises:
        RedisUnavailableError, ConfigurationError: nobody owns the slot, or its owner does not answer.
        redis.RedisError: the owner refuses.
    """
    route.learn()
    connection = route.connect("hotconfig-doctor", route.shard_of(SERVICE))
    try:
        connection.send_command("SPUBLISH", commits_channel(SERVICE), b"")
        connection.read_response()
    finally:
        connection.disconnect()
