"""Puts the pages of the site into one directory, as site builders want them. Knows nothing of what a page says.

Pages are written to be read where they lie, so their links lead through the repository. Here the front page, the
changelog and the page for contributors move beside the others, and links follow; what is no page leads to the source.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = "https://github.com/hotconfig/hotconfig/blob/main"
MOVED: Final = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
ASSETS: Final = ("images", "telemetry", "site/extra.css")
_LINK: Final = re.compile(r'(\]\(|src=")(?!https?://|mailto:|#)([^)#"\s]+)')


def stage(target: Path) -> Path:
    """Fill ``target`` with the configuration and all pages; the configuration's path comes back."""
    pages = target / "docs"
    pages.mkdir(parents=True)
    for page in (*(ROOT / name for name in MOVED), *sorted((ROOT / "docs").glob("*.md"))):
        (pages / place(page)).write_text(relinked(page), encoding="utf-8")
    for name in ASSETS:
        asset = ROOT / "docs" / name
        if asset.is_dir():
            shutil.copytree(asset, pages / name)
        else:
            (pages / name).parent.mkdir(exist_ok=True)
            shutil.copy(asset, pages / name)
    return Path(shutil.copy(ROOT / "docs" / "mkdocs.yml", target))


def place(file: Path) -> str:
    """Where a file of the repository is on the site, from the site's root; no page: its address in the source."""
    inside = file.relative_to(ROOT).as_posix()
    if inside in MOVED:
        return MOVED[inside]
    if file.parent == ROOT / "docs" or any(inside.startswith(f"docs/{asset}") for asset in ASSETS):
        return inside.removeprefix("docs/")
    return f"{SOURCE}/{inside}"


def relinked(page: Path) -> str:
    """Return the text of a page with its links as they have to be on the site."""

    def moved(link: re.Match[str]) -> str:
        return link[1] + place(Path(os.path.normpath(page.parent / link[2])))

    return _LINK.sub(moved, page.read_text(encoding="utf-8"))
