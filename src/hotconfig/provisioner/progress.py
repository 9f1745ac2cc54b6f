"""What becomes of a request while its caller waits, in lines for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hotconfig.provisioner.model import Organization
from hotconfig.provisioner.observation import (
    Apply,
    Claim,
    Enforce,
    FillStatus,
    Glance,
    Look,
    ProbeIsolation,
    Remove,
    RemoveNamespace,
    Renew,
    Step,
)

Tell = Callable[[str], None]
"""Is told one line for each step and each condition, in the event loop: it must neither wait nor raise."""


def nobody(line: str) -> None:
    """Tell it to nobody."""


def told(step: Step) -> str:  # noqa: PLR0911 - one for each kind of step
    """What was done."""
    match step:
        case Look(namespace=name) | Glance(namespace=name):
            return f"looked at namespace {name}"
        case Claim(manifest=manifest):
            return f"claimed namespace {manifest['metadata']['name']}"
        case Renew(namespace=manifest):
            return f"applied namespace {manifest['metadata']['name']} and its quota"
        case Apply(manifest=manifest, why=why) | Enforce(manifest=manifest, why=why):
            return f"applied {manifest['kind']} {manifest['metadata']['name']}{f': {why}' if why else ''}"
        case FillStatus():
            return "put the quota in force"
        case ProbeIsolation():
            return "made the isolation probes"
        case Remove(key=key):
            return f"removed {key.kind} {key.name}"
        case RemoveNamespace(name=name):
            return f"told namespace {name} to go"


def news(before: Organization, now: Organization) -> Iterator[str]:
    """What is new of an organization: its state, and the conditions that came."""
    if now.state is not before.state:
        yield f"state {now.state}"
    known = {(each.kind, each.reason) for each in before.conditions}
    for each in now.conditions:
        if (each.kind, each.reason) not in known:
            yield f"{each.kind}: {each.message}"
