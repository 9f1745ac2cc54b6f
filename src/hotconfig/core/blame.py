"""What is to blame for values that do not validate: rows, this process's pins, or what lies below PostgreSQL.

Owns the words for it, and for how it is mended. Never a value. Must not know who says them, or where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from hotconfig.core.problems import MODEL_KEY, one_line


def explained(
    service: str, problems: Mapping[str, str], *, stored: Collection[str], pinned: Collection[str] = frozenset()
) -> str:
    """One sentence for each kind of cause. ``stored`` are the keys that PostgreSQL gives, ``pinned`` those of pins."""
    rows = {key: why for key, why in problems.items() if key in stored and key not in pinned}
    pins = {key: why for key, why in problems.items() if key in pinned}
    others = {key: why for key, why in problems.items() if key not in rows and key not in pins}
    together = others.pop(MODEL_KEY, None) if stored else None  # rows may be the cause: whoever has none knows better
    said: list[str] = []
    if rows:
        said.append(
            f"PostgreSQL holds what does not fit: {one_line(rows)} (mend it with `{mending(service, rows)}`, "
            f"or `hotconfig delete {service} {' '.join(rows)}`)"
        )
    if together is not None:
        said.append(
            f"what is stored does not fit together, or not with the environment, files, defaults and pins here: "
            f"{together} (see `hotconfig list {service}` and `hotconfig history {service}`)"
        )
    if pins:
        said.append(f"pins do not fit: {one_line(pins)} (mend pins= of bind)")
    if others:
        said.append(
            f"not from PostgreSQL: {one_line(others)} (see the environment, files and defaults, "
            f"or give a value with `{mending(service, others)} --create`)"
        )
    return ". ".join(said)


def mending(service: str, keys: Iterable[str]) -> str:
    """The command that stores other values: ``hotconfig set ai threshold=VALUE``."""
    return " ".join([f"hotconfig set {service}", *(f"{'KEY' if key == MODEL_KEY else key}=VALUE" for key in keys)])
