"""The fenced blocks of the documentation's pages, and what stands in the comment above them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]+) -->\n)?(?P<indent>[ ]*)```(?P<language>\w*)(?P<rest>[^\n]*)\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        line: Of its first line of text, counted from 1.
        title: Of a whole program, which a test of its own runs.
        not_run: Why it cannot run.
        needs: The module of the group ``docs`` without which it cannot run.
    """

    page: str
    line: int
    language: str
    text: str
    title: str = ""
    not_run: str = ""
    needs: str | None = None


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page.name,
            text[: found.start("text")].count("\n") + 1,
            found["language"],
            found["text"],
            title=found["rest"].strip(),
            not_run=_after(found["mark"], "not run: "),
            needs=_after(found["mark"], "needs: ") or None,
        )
        for found in _BLOCK.finditer(text)
    ]


def _after(mark: str | None, word: str) -> str:
    return mark.removeprefix(word) if mark and mark.startswith(word) else ""
