"""Conditions, failures and when to try again. Pure: time and chance are handed in."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from hotconfig.core.errors import HotConfigError, RetryableError
from hotconfig.provisioner.errors import (
    KubernetesConflictError,
    KubernetesExistsError,
    KubernetesNotFoundError,
    KubernetesThrottledError,
    NamespaceTerminatingError,
)
from hotconfig.provisioner.model import Condition, ConditionKind, Organization, Progress, State

FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 300.0


def condition(
    organization: Organization, kind: ConditionKind, reason: str, message: str, *, now: datetime
) -> Condition:
    """A condition that keeps its ``since`` while kind and reason stay."""
    since = next((c.since for c in organization.conditions if (c.kind, c.reason) == (kind, reason)), now)
    return Condition(kind, reason, message, since)


def failure(organization: Organization, code: str, message: str, *, now: datetime) -> Progress:
    """Give up provisioning. In every other state nothing is given up: see :func:`after_failure`."""
    return Progress(
        state=State.FAILED,
        conditions=(condition(organization, ConditionKind.FAILED, code, message, now=now),),
        error={"code": code, "message": message},
        idle=True,
        release=True,
    )


def retry_delay_s(attempts: int, chance: float) -> float:
    """How long to wait after so many failures in a row: doubling, with jitter. ``chance`` is between 0 and 1."""
    nominal = min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(attempts, 32))
    return nominal * (0.5 + chance / 2)


def after_failure(organization: Organization, error: HotConfigError, *, now: datetime, chance: float) -> Progress:
    """What is recorded when a step raised ``error``. Errors of the database are not for this: they record nothing.

    What time heals is tried again, also what was refused while a tenant is active: there is nothing to fail to. While
    it is being provisioned, a refusal (403, 422, a foreign namespace) is final, with the server's words.
    """
    attempts = organization.attempts + 1
    code = type(error).__name__.removesuffix("Error")
    passing = isinstance(error, RetryableError | KubernetesNotFoundError | KubernetesExistsError)
    if not passing and organization.state in {State.REQUESTED, State.PROVISIONING}:
        return failure(organization, code, str(error), now=now)
    delay_s = retry_delay_s(organization.attempts, chance)
    if isinstance(error, KubernetesThrottledError) and error.retry_after_s is not None:
        delay_s = max(delay_s, error.retry_after_s)
    found = condition(organization, _kind_of(error, passing=passing), code, str(error), now=now)
    return Progress(conditions=(found,), attempts=attempts, retry_in_s=delay_s, release=True)


def _kind_of(error: HotConfigError, *, passing: bool) -> ConditionKind:
    if isinstance(error, NamespaceTerminatingError):
        return ConditionKind.NAME_BUSY
    if isinstance(error, KubernetesConflictError | KubernetesNotFoundError | KubernetesExistsError):
        return ConditionKind.UPDATE_PENDING
    return ConditionKind.KUBERNETES_UNAVAILABLE if passing else ConditionKind.DRIFT
