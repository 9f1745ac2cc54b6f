"""Values as the texts that PostgreSQL stores. The rule stands in :mod:`hotconfig.core.text.rules`."""

from __future__ import annotations

from hotconfig.core.text.fields import ESCAPE
from hotconfig.core.text.limits import MAX_DEPTH, MAX_TEXT_BYTES, check_text
from hotconfig.core.text.rules import TextRules

__all__ = ["ESCAPE", "MAX_DEPTH", "MAX_TEXT_BYTES", "TextRules", "check_text"]
