"""TLS: verified by default, refused with the way out, and certificates may change while readers run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import hotconfig
from hotconfig import State
from hotconfig.cli.checks.news import check_news
from hotconfig.core.errors import ConfigurationError, HotConfigError, RedisUnavailableError
from hotconfig.redis.subscribe import RedisSubscription
from tests.integration.settings import AISettings
from tests.support.redis_clients import NEVER_POLL, PATIENCE_S, pair
from tests.support.redis_servers import HOST, QUOTED, RedisProcess, write_certificates
from tests.support.waiting import eventually


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A directory with an authority and a certificate for this machine."""
    write_certificates(tmp_path / "tls", HOST, "localhost")
    return tmp_path / "tls"


@pytest.fixture
def server(tmp_path: Path, certificates: Path) -> Iterator[RedisProcess]:
    """A Redis that speaks TLS only."""
    with RedisProcess(tmp_path / "redis", tls=certificates) as server:
        yield server


def open_at(url: str) -> None:
    RedisSubscription.open(url, ["ai"]).close()


def test_the_authority_stands_in_the_url_and_the_name_is_checked(server: RedisProcess) -> None:
    open_at(server.url)
    open_at(server.url.replace(HOST, "localhost"))


def test_doctor_says_how_the_connection_is_encrypted(server: RedisProcess, redis_url: str) -> None:
    found = {each.check: each for each in check_news(server.url)}["Redis encryption"]
    assert (found.state, found.found) == ("ok", "TLS, certificate and name are verified")
    found = {each.check: each for each in check_news(redis_url)}["Redis encryption"]
    assert found.state == "ok"
    assert "on this machine" in found.found


def test_the_systems_authorities_do_not_do_for_a_private_one(server: RedisProcess) -> None:
    with pytest.raises(ConfigurationError, match=r"not trusted.*ssl_ca_certs") as caught:
        open_at(server.url.partition("?")[0])
    assert "pass" not in str(caught.value)


def test_a_wrong_authority_is_refused(server: RedisProcess, tmp_path: Path) -> None:
    write_certificates(tmp_path / "others", HOST)
    with pytest.raises(ConfigurationError, match=r"not trusted.*ssl_ca_certs"):
        open_at(f"rediss://:{QUOTED}@{server.address}/0?ssl_ca_certs={tmp_path / 'others' / 'ca.pem'}")


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    write_certificates(tmp_path / "tls", "redis.example")
    with RedisProcess(tmp_path / "redis", tls=tmp_path / "tls") as server:
        with pytest.raises(ConfigurationError, match=r"not trusted.*name"):
            open_at(server.url)
        open_at(server.url + "&ssl_check_hostname=false")


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile"])
def test_a_file_that_is_not_there_is_told(server: RedisProcess, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_at(f"rediss://:{QUOTED}@{server.address}/0?{name}=/nowhere/file.pem")


def test_tls_at_a_port_without_looks_like_silence_and_the_error_names_tls(tmp_path: Path) -> None:
    # Redis waits for the end of a line that it takes the greeting for.
    with (
        RedisProcess(tmp_path / "plain") as plain,
        pytest.raises(RedisUnavailableError, match=r"with TLS.*does not speak TLS"),
    ):
        open_at(plain.url.replace("redis://", "rediss://"))


def test_no_tls_at_a_port_with_it_is_an_error_of_ours(server: RedisProcess) -> None:
    with pytest.raises(RedisUnavailableError):
        open_at(server.url.partition("?")[0].replace("rediss://", "redis://"))


def test_a_certificate_that_the_server_wants_is_asked_for(tmp_path: Path, certificates: Path) -> None:
    with RedisProcess(tmp_path / "redis", tls=certificates) as server:
        server.ask("CONFIG", "SET", "tls-auth-clients", "yes")
        with pytest.raises(HotConfigError):  # whether its alert is heard before it hangs up is a race
            open_at(server.url)
        own = f"&ssl_certfile={certificates / 'server.pem'}&ssl_keyfile={certificates / 'server.key'}"
        open_at(server.url + own)


def test_a_refused_certificate_is_not_tried_again_and_again(
    migrated_url: str, server: RedisProcess, tmp_path: Path
) -> None:
    write_certificates(tmp_path / "others", HOST)
    url = f"rediss://:{QUOTED}@{server.address}/0?ssl_ca_certs={tmp_path / 'others' / 'ca.pem'}"
    with hotconfig.HotConfig(migrated_url, url, timing=NEVER_POLL) as client:
        client.bind(AISettings)
        eventually(lambda: client.status().state is State.DEGRADED, PATIENCE_S)
        assert not threading.Event().wait(2.0), "many attempts, if it were tried as after an outage"
        assert client.status().counters["connection_failures"] == 1
        assert "not trusted" in str(client.status().last_error)


def test_new_certificates_are_taken_up_with_the_next_connection(
    migrated_url: str, server: RedisProcess, certificates: Path
) -> None:
    with pair(migrated_url, server.url) as both:
        both.hears()
        write_certificates(certificates, HOST, "localhost")  # by a new authority, in the same files
        server.kill()
        eventually(both.is_away, PATIENCE_S)
        server.start()
        both.hears()
