"""What is to blame for values that do not validate: rows, this process's pins, or what lies below PostgreSQL.

Owns the words for it, and for how it is mended. Never a value. Must not know who says them, or where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from hotconfig.core.problems import MODEL_KEY, one_line

NO_SECRETS: Final[Mapping[str, str]] = MappingProxyType({})


def explained(
    service: str,
    problems: Mapping[str, str],
    *,
    stored: Collection[str],
    pinned: Collection[str] = frozenset(),
    secrets: Mapping[str, str] = NO_SECRETS,
) -> str:
    """One sentence for each kind of cause.

    ``stored`` are the keys that PostgreSQL gives, ``pinned`` those of pins, ``secrets`` those that PostgreSQL may not
    give, with where their values come from.
    """
    pins = {key: why for key, why in problems.items() if key in pinned}
    rows = {key: why for key, why in problems.items() if key in stored and key not in pins}
    others = {key: why for key, why in problems.items() if key not in rows and key not in pins}
    together = others.pop(MODEL_KEY, None) if stored else None  # rows may be the cause: whoever has none knows better
    exposed, missing = sorted(rows.keys() & secrets), sorted(others.keys() & secrets)
    rows = {key: why for key, why in rows.items() if key not in secrets}
    said: list[str] = []
    if exposed:
        said.append(
            f"PostgreSQL holds what belongs to secrets, which have no place there: {', '.join(exposed)} (take it out "
            f"with `hotconfig delete {service} {' '.join(exposed)}`, give it by {_sources(secrets, exposed)}, and "
            "replace the secret: the history keeps what was written)"
        )
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
        said.append(f"not from PostgreSQL: {one_line(others)} ({_elsewhere(service, others, secrets, missing)})")
    return ". ".join(said)


def _elsewhere(service: str, others: Mapping[str, str], secrets: Mapping[str, str], missing: Collection[str]) -> str:
    """Where values come from that PostgreSQL does not hold."""
    advice = "see the environment, files and defaults"
    if storable := [key for key in others if key not in missing]:
        advice += f", or give a value with `{mending(service, storable)} --create`"
    return f"{advice}; {', '.join(missing)}, being secret, by {_sources(secrets, missing)}" if missing else advice


def _sources(secrets: Mapping[str, str], keys: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(secrets[key] for key in keys))


def mending(service: str, keys: Iterable[str]) -> str:
    """The command that stores other values: ``hotconfig set ai threshold=VALUE``."""
    return " ".join([f"hotconfig set {service}", *(f"{'KEY' if key == MODEL_KEY else key}=VALUE" for key in keys)])
