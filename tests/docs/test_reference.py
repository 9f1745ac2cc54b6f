"""The reference is made from the code, and leaves nothing public out."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
import yaml

from docs.site import commands, docstrings, staging
from hotconfig.provisioner.following import Asking

DOCS = staging.ROOT / "docs"


def test_the_commands_page_is_what_the_programs_say_today() -> None:
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), "run: python -m docs.site commands"


@pytest.mark.parametrize("module", docstrings.MODULES)
def test_every_public_name_of_the_module_is_in_the_reference(module: str) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("api*.md"))
    shown = set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))
    missing = [name for name in docstrings.public_names(module) if not _same(module, name) & shown]
    assert missing == []


def _same(module: str, name: str) -> set[str]:
    """The names under which the reference may show what ``module`` exports as ``name``."""
    wanted = getattr(import_module(module), name)
    return {f"{each}.{name}" for each in docstrings.MODULES if getattr(import_module(each), name, None) is wanted}


def test_the_reference_shows_no_name_that_is_not_public() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("api*.md"))
    public = {f"{module}.{name}" for module in docstrings.MODULES for name in docstrings.public_names(module)}
    assert set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)) - public == set()


def test_what_every_request_of_the_provisioner_takes_is_in_the_reference() -> None:
    text = (DOCS / "api-provisioner.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(Asking.__annotations__)


def test_every_page_is_in_the_navigation_and_the_other_way_round() -> None:
    text = re.sub(r"!ENV \[.*?\]", "paths", (DOCS / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(re.findall(r"[\w-]+\.md", str(yaml.safe_load(text)["nav"])))
    pages = {page.name for page in DOCS.glob("*.md")} | set(staging.MOVED.values())
    assert named == pages


def test_a_link_leads_to_the_page_on_the_site_and_else_to_the_source() -> None:
    assert staging.place(staging.ROOT / "README.md") == "index.md"
    assert staging.place(DOCS / "concepts.md") == "concepts.md"
    assert staging.place(DOCS / "images" / "chain.svg") == "images/chain.svg"
    assert staging.place(staging.ROOT / "LICENSE") == f"{staging.SOURCE}/LICENSE"


def test_a_docstring_in_this_projects_manner_becomes_one_that_the_reference_can_show() -> None:
    text = """Do it, as :meth:`start` does for :class:`hotconfig.Changed`.

    Raises:
        NotBoundError, UnknownKeyError.
        ConflictError, AccessDeniedError: mend it,
            then start again.
    """
    told = docstrings.rewritten(text, "HotConfig")
    assert "[`start`][hotconfig.HotConfig.start]" in told
    assert "[`Changed`][hotconfig.Changed]" in told
    assert "        NotBoundError: The object is not a live settings object" in told
    assert "        AccessDeniedError: mend it,\n            then start again." in told
