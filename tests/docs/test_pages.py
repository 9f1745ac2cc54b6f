"""Every Python and SQL block of the README and the documentation runs, in order, page by page."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from tests.docs.blocks import PAGES as ALL_PAGES
from tests.docs.blocks import Block, blocks
from tests.support.telemetry import no_sdk

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b(?:TODO|TBD|FIXME|XXX)\b|\{\{|<[A-Z_]+>")
EXAMPLES = {"AI_THRESHOLD", "OLD_THRESHOLD"}
EXAMPLES |= {"ALLOWED_HOSTS", "DJANGO_SETTINGS_MODULE", "INSTALLED_APPS", "ROOT_URLCONF", "SECRET_KEY"}  # Django's
OTHERS = ("CONSTANCE_", "POSTGRES_")  # words of django-constance and of PostgreSQL's container
ELSEWHERE = {"testing.md"}  # its blocks are files: test_testing_page
PAGES = [
    page
    for page in ALL_PAGES
    if page.name not in ELSEWHERE and any(each.language in {"python", "sql"} for each in blocks(page))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_the_page_runs(
    page: Path, migrated_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # blocks may set what they like
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", migrated_url)
    monkeypatch.setenv("HOTCONFIG_REDIS_URL", redis_url)
    names: dict[str, object] = {"__name__": "docs"}
    with no_sdk(), psycopg.connect(migrated_url, autocommit=True) as session:
        for block in blocks(page):
            if block.language == "sql":
                session.execute(block.text.encode())
            elif block.language == "python" and _runs_here(block):
                code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
                exec(code, names)  # noqa: S102 - that is the test


def _runs_here(block: Block) -> bool:
    """Whether a block is for this test: not a program that another one runs, and its library is here or demanded."""
    if block.title or block.not_run:
        return False
    return block.needs is None or "HOTCONFIG_ALL_BLOCKS" in os.environ or find_spec(block.needs) is not None


def test_every_link_between_the_pages_leads_somewhere() -> None:
    written = (*(ROOT / "docs").glob("*.md"), *(ROOT / ".github").glob("*.md"))
    pages = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *written)
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_link_to_a_heading_finds_it() -> None:
    pages = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
    broken = [
        f"{page.name}: {target}#{heading}"
        for page in pages
        for target, heading in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text())
        if heading not in _headings(page.parent / target if target else page)
    ]
    assert not broken


def _headings(page: Path) -> set[str]:
    """The names by which GitHub and most site builders link to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_test_that_a_page_names_is_there() -> None:
    named = {
        (page.name, name)
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(
            r"`(?:tests/)?((?:unit|contract|integration|faults|acceptance)/test_\w+)(?:\.py)?`", page.read_text()
        )
    }
    assert len(named) > 20
    assert [(page, name) for page, name in sorted(named) if not (ROOT / "tests" / f"{name}.py").exists()] == []


def test_no_page_holds_a_placeholder() -> None:
    """Words like A_B stand in the code, or are EXAMPLES; else somebody forgot to fill one in."""
    code = "\n".join(
        file.read_text()
        for folder in ("src", "tests", "benchmarks", ".ci")
        for file in sorted((ROOT / folder).rglob("*"))
        if file.is_file() and file.suffix in {".py", ".sql", ".toml", ""}
    )
    known = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", code))
    left = [
        f"{page.name}: {word}"
        for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
        for word in re.findall(PLACEHOLDER, page.read_text())
        if word not in known | EXAMPLES and not word.startswith(OTHERS)
    ]
    assert not left
