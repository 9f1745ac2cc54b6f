"""The customer's eight changes: psql writes the row, another program publishes the plain value, a service obeys."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.acceptance.programs import Psql, Publishing, RawRedis, ServiceProcess, service_process
from tests.support.waiting import Eventually

VISIBLE_WITHIN_S = 0.1


@dataclass(frozen=True)
class Row:
    """One row of the customer's table, and what the service does before and after it."""

    service: str
    key: str
    old: str | None
    new: str
    call: str
    before: Any
    after: Any
    given: dict[str, Any] = field(default_factory=dict)


ROWS = {
    "5a": Row("ai", "threshold", "0.75", "0.90", "is_alarm", before=True, after=False, given={"score": 0.8}),
    "5b": Row("ai", "model", "gpt-4", "gpt-4o", "pick_model", "gpt-4", "gpt-4o"),
    "5c": Row("email", "max_retries", "3", "5", "attempts_at_a_dead_mail_server", 3, 5),
    "5d": Row("email", "timeout_seconds", "30", "60", "deadline_of_the_next_call_s", 30, 60),
    "5e": Row(
        *("webhook", "url", "https://old.example", "https://new.example", "post_goes_to"),
        before="old.example",
        after="new.example",
    ),
    "5f": Row(
        *("api", "rate_limit", None, "1000", "answer_requests"),
        before=[200] * 1001,
        after=[200] * 1000 + [429],
        given={"count": 1001},
    ),
    "5g": Row("logging", "level", "INFO", "DEBUG", "logs_debug_messages", before=False, after=True),
    "5h": Row("features", "dark_mode", "false", "true", "style_sheet", "light.css", "dark.css"),
}

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def upsert(row: Row, value: str | None) -> str:
    text = "NULL" if value is None else f"'{value}'"
    return (
        f"INSERT INTO hotconfig.service_configs (service, key, value) VALUES ('{row.service}', '{row.key}', {text}) "
        "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value;"
    )


def update(row: Row) -> str:
    return (
        f"UPDATE hotconfig.service_configs SET value = '{row.new}' "
        f"WHERE service = '{row.service}' AND key = '{row.key}';"
    )


@every_row
def test_a_change_made_with_psql_is_obeyed_by_another_process(
    row: Row, psql: Psql, publisher: Publishing, services: ServiceProcess, eventually: Eventually
) -> None:
    assert services.ask(row.call, **row.given) == row.before
    psql.run(upsert(row, row.old), update(row))
    publisher.publish(f"config:{row.service}:{row.key}", row.new)
    eventually(lambda: services.ask(row.call, **row.given) == row.after, 2.0, message=f"{row.call} is {row.after!r}")


@every_row
def test_inserting_on_conflict_does_the_same_as_updating(
    row: Row, psql: Psql, raw_redis: RawRedis, services: ServiceProcess, eventually: Eventually
) -> None:
    psql.run(upsert(row, row.new))
    raw_redis.publish(f"config:{row.service}:{row.key}", row.new)
    eventually(lambda: services.ask(row.call, **row.given) == row.after, 2.0, message=f"{row.call} is {row.after!r}")


@every_row
def test_the_history_says_who_changed_what_from_what_and_why(row: Row, psql: Psql) -> None:
    psql.run(upsert(row, row.old))
    psql.run(
        "SET hotconfig.by = 'ann@acme.example';",
        "SET hotconfig.reason = 'the customer asked for it';",
        update(row),
    )
    found = psql.run(
        "SELECT revision, op, coalesce(old_value, 'none'), new_value, changed_by, reason, db_user = session_user, "
        "changed_at > now() - interval '1 minute' FROM hotconfig.config_history "
        f"WHERE service = '{row.service}' AND key = '{row.key}' ORDER BY revision DESC LIMIT 1;"
    )
    story = "ann@acme.example|the customer asked for it"
    assert found == [f"2|update|{row.old or 'none'}|{row.new}|{story}|t|t"]


def test_who_did_not_say_who_they_are_is_known_by_their_login(psql: Psql) -> None:
    psql.run(upsert(ROWS["5a"], "0.90"))
    assert psql.run("SELECT changed_by = session_user, reason IS NULL FROM hotconfig.config_history;") == ["t|t"]


@every_row
def test_the_publish_alone_changes_nothing(
    row: Row, psql: Psql, raw_redis: RawRedis, services: ServiceProcess, eventually: Eventually
) -> None:
    raw_redis.publish(f"config:{row.service}:{row.key}", row.new)
    # What is written and published afterwards is seen, so what was published before has had its chance.
    other = next(each for each in ROWS.values() if each.service != row.service)
    psql.run(upsert(other, other.new))
    raw_redis.publish(f"config:{other.service}:{other.key}", other.new)
    eventually(lambda: services.ask(other.call, **other.given) == other.after, 2.0)
    assert services.ask(row.call, **row.given) == row.before


def test_all_eight_one_after_the_other_are_told_once_each(
    psql: Psql, raw_redis: RawRedis, migrated_url: str, redis_url: str, eventually: Eventually
) -> None:
    psql.run(*(upsert(row, row.old) for row in ROWS.values()), "SET hotconfig.by = 'ann@acme.example';")
    with service_process(migrated_url, redis_url) as services:
        for row in ROWS.values():
            psql.run(update(row))
            raw_redis.publish(f"config:{row.service}:{row.key}", row.new)
            eventually(lambda row=row: services.ask(row.call, **row.given) == row.after, 2.0, message=row.key)  # type: ignore[misc]
        eventually(lambda: len(services.ask("tellings")) >= len(ROWS))
        told = services.ask("tellings")
    assert [(each["service"], each["keys"]) for each in told] == [(row.service, [row.key]) for row in ROWS.values()]
    assert {each["by"] for each in told} == {"ann@acme.example"}


def test_the_plain_publish_is_obeyed_within_a_tenth_of_a_second(
    psql: Psql, raw_redis: RawRedis, services: ServiceProcess, eventually: Eventually
) -> None:
    taken_s: list[float] = []
    last: float | None = None
    for value in ("0.91", "0.92", "0.93", "0.94", "0.95"):
        psql.run(upsert(ROWS["5a"], value))
        published_at_s = time.clock_gettime(time.CLOCK_MONOTONIC)
        raw_redis.publish("config:ai:threshold", value)
        last = eventually(lambda last=last: (at := services.ask("changed_at_s", service="ai")) != last and at)  # type: ignore[misc]
        taken_s.append(last - published_at_s)
    assert statistics.median(taken_s) < VISIBLE_WITHIN_S, taken_s


def test_two_keys_changed_in_one_transaction_are_never_seen_half(
    psql: Psql, raw_redis: RawRedis, services: ServiceProcess, eventually: Eventually
) -> None:
    pairs = [(retries, retries * 10) for retries in range(3, 43)]
    services.ask("start_watching_email")
    for retries, seconds in pairs[1:]:
        psql.run(
            "BEGIN;",
            upsert(ROWS["5c"], str(retries)),
            upsert(ROWS["5d"], str(seconds)),
            "COMMIT;",
        )
        raw_redis.publish("config:email:max_retries", str(retries))
    eventually(lambda: services.ask("email") == {"max_retries": 42, "timeout_seconds": 420})
    found = services.ask("stop_watching_email")
    seen = [tuple(pair) for pair in found["seen"]]
    assert set(seen) <= set(pairs)
    assert {pairs[0], pairs[-1]} <= set(seen)
    assert found["looks"] > len(pairs)


def test_a_transaction_rolled_back_is_never_seen(
    psql: Psql, raw_redis: RawRedis, services: ServiceProcess, eventually: Eventually
) -> None:
    psql.run("BEGIN;", upsert(ROWS["5c"], "9"), "ROLLBACK;")
    raw_redis.publish("config:email:max_retries", "9")
    psql.run(upsert(ROWS["5d"], "60"))
    raw_redis.publish("config:email:timeout_seconds", "60")
    eventually(lambda: services.ask("email")["timeout_seconds"] == 60)
    assert services.ask("email") == {"max_retries": 3, "timeout_seconds": 60}
    tellings = eventually(lambda: services.ask("tellings"), message="the listener, on its own thread, is told")
    assert [each["keys"] for each in tellings] == [["timeout_seconds"]]
