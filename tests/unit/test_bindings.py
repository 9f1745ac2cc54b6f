"""What the bindings say about a service that is bound."""

from __future__ import annotations

from pydantic import BaseModel

from hotconfig.core.candidate import Blueprint
from hotconfig.core.declaration import settings
from hotconfig.core.followed import Followed
from hotconfig.core.line import Line
from hotconfig.runtime.bindings import _describe
from tests.support.chains import Truth


@settings(service="ai")
class AI(BaseModel):
    threshold: float = 0.75


def test_a_forked_child_names_what_it_shows_until_it_has_read() -> None:
    truth = Truth()
    truth.commit(threshold="0.5")
    line = Line(list[object]().append)
    followed = line.followed["ai"] = Followed(Blueprint(AI))
    line.load(truth.answer(None))
    assert _describe(followed.reborn(), None) == _describe(followed, None)
    assert _describe(followed.reborn(), None).digest == truth.head.digest.hex()
