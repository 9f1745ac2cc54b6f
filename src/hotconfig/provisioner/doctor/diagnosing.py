"""All checks, in order; a check that fails is a finding, never an error."""

from __future__ import annotations

from functools import partial
from os import PathLike

from anyio import to_thread

from hotconfig.core.finding import Finding
from hotconfig.provisioner.doctor.database import check_database


async def diagnose(
    database_url: str | None,
    schema: str,
    kubeconfig: str | PathLike[str] | None,
    purger: str | PathLike[str] | None,
) -> list[Finding]:
    """What stands between here and a tenant. Takes at most about a minute where nothing answers."""
    if not database_url:
        found = [Finding("PostgreSQL", "problem", "not configured", "set HOTCONFIG_DATABASE_URL, or --database-url")]
    else:
        found = await to_thread.run_sync(partial(_listed, database_url, schema))
    try:
        from hotconfig.provisioner.doctor.cluster import check_cluster  # noqa: PLC0415 - needs an extra
    except ImportError:
        advice = "pip install 'hotconfig[provisioner]'"
        return [*found, Finding("Kubernetes", "problem", "lightkube is missing", advice)]
    return [*found, *[each async for each in check_cluster(kubeconfig, purger)]]


def _listed(database_url: str, schema: str) -> list[Finding]:
    return list(check_database(database_url, schema))
