"""Texts that others wrote, made fit for a line of a log or a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` on one line and harmless to a terminal: what cannot be printed stands as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
