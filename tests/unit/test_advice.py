"""What is said to whoever took a wrong turn: the thing by its name, and the way out."""

from __future__ import annotations

from typing import Any

import pytest

import hotconfig

URL = "postgresql://ann:hidden@one/app"


@pytest.mark.parametrize("urls", [(None, None), (b"hidden", None), (URL, 7), (None, "redis://127.0.0.1")])
def test_a_url_that_is_no_text_is_refused_by_the_constructor(urls: tuple[Any, Any]) -> None:
    with pytest.raises(hotconfig.ConfigurationError, match="has to be a str") as caught:
        hotconfig.HotConfig(*urls)
    assert "hidden" not in str(caught.value)
