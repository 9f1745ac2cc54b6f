"""Where values that do not validate came from, and what is said about it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hotconfig.core.blame import explained
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import ChangeSet
from hotconfig.core.declaration import settings
from hotconfig.core.followed import Followed
from hotconfig.core.line import Line
from hotconfig.core.outcomes import Rejected
from hotconfig.runtime.records import log_rejected
from tests.support import chains
from tests.support.chains import Truth, signed


@settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, le=1)
    low: int = Field(0, ge=0)
    high: int = 10

    @model_validator(mode="after")
    def _ordered(self) -> AI:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def follow(truth: Truth, pins: dict[str, Any] | None = None) -> tuple[Line, object]:
    line = Line(list[object]().append)
    line.keyring = chains.KEYRING
    line.followed["ai"] = Followed(Blueprint(AI, pins=pins))
    return line, line.load(truth.answer(None))


def hear(line: Line, commit: ChangeSet) -> object:
    line.receive(*signed(commit))
    (outcome,) = line.flush()
    return outcome


def logged(outcome: object, caplog: pytest.LogCaptureFixture) -> str:
    assert isinstance(outcome, Rejected)
    caplog.set_level(logging.ERROR)
    log_rejected(outcome)
    return caplog.messages[-1]


def test_a_rejected_commit_says_what_stays_and_how_to_mend_it(caplog: pytest.LogCaptureFixture) -> None:
    truth = Truth()
    truth.commit(threshold="0.5")
    line, _ = follow(truth)
    told = logged(hear(line, truth.commit(threshold="7")), caplog)
    assert told.startswith(
        "service 'ai': revision 2 is not shown, revision 1 stays: PostgreSQL holds what does not fit"
    )
    assert "mend it with `hotconfig set ai threshold=VALUE`, or `hotconfig delete ai threshold`" in told


def test_pins_that_do_not_fit_are_not_blamed_on_the_revision(caplog: pytest.LogCaptureFixture) -> None:
    truth = Truth()
    truth.commit(low="3")
    _, outcome = follow(truth, pins={"low": -1})
    told = logged(outcome, caplog)
    assert told.startswith("service 'ai': revision 1 is not shown: pins do not fit: low: ")
    assert "PostgreSQL" not in told


def test_a_rule_between_keys_is_blamed_on_what_is_stored_only_where_something_is() -> None:
    truth = Truth()
    truth.commit(low="20")
    _, outcome = follow(truth)
    assert isinstance(outcome, Rejected)
    assert outcome.why.startswith("what is stored does not fit together")
    assert explained("ai", {"*": "low is above high"}, stored=()).startswith(
        "not from PostgreSQL: the class as a whole"
    )


def test_rows_replaced_one_by_one_are_told_from_rows_replaced_together() -> None:
    blueprint = Blueprint(AI)
    one = blueprint.build_without_bad_keys({"threshold": "7", "high": "11", "gone": "x"})
    assert one.replaced == {"threshold"}
    every = blueprint.build_without_bad_keys({"threshold": "0.5", "low": "20", "gone": "x"})
    assert every.replaced == {"threshold", "low"}
    assert blueprint.build_without_bad_keys({"low": "1"}).replaced == frozenset()


@settings(service="vault")
class Vault(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ADVICE_")

    region: str
    api_key: SecretStr
    other_key: SecretStr = Field(SecretStr(""), alias="elsewhere")


@settings(service="plain")
class PlainVault(BaseModel):
    api_key: SecretStr


def test_a_secret_that_is_missing_is_asked_of_the_environment_and_not_of_hotconfig_set() -> None:
    blueprint = Blueprint(Vault)
    problems = blueprint.build({}).problems
    why = explained("vault", problems, stored=(), secrets=blueprint.secret_sources())
    assert "`hotconfig set vault region=VALUE --create`" in why
    assert "api_key, being secret, by the environment variable ADVICE_API_KEY, or a secrets file" in why
    assert blueprint.secret_sources()["other_key"].startswith("the environment variable ELSEWHERE,")


def test_where_only_secrets_are_missing_nothing_is_to_be_stored() -> None:
    blueprint = Blueprint(PlainVault)
    why = explained("plain", blueprint.build({}).problems, stored=(), secrets=blueprint.secret_sources())
    assert "hotconfig set" not in why
    assert "by pins= of bind" in why


def test_a_secret_that_was_written_by_hand_is_to_be_deleted_and_replaced() -> None:
    blueprint = Blueprint(Vault)
    stored = {"region": "eu", "api_key": "hidden"}
    problems = blueprint.build(stored).problems
    why = explained("vault", problems, stored=stored, secrets=blueprint.secret_sources())
    assert "take it out with `hotconfig delete vault api_key`" in why
    assert "ADVICE_API_KEY" in why
    assert "hotconfig set" not in why
    assert "hidden" not in why


@settings(service="ai")
class AIVault(BaseModel):
    api_key: SecretStr = SecretStr("")


def test_the_line_knows_what_is_secret() -> None:
    truth = Truth()
    truth.commit(api_key="hidden")
    line = Line(list[object]().append)
    line.followed["ai"] = Followed(Blueprint(AIVault))
    outcome = line.load(truth.answer(None))
    assert isinstance(outcome, Rejected)
    assert "take it out with `hotconfig delete ai api_key`" in outcome.why
    assert "hotconfig set" not in outcome.why
