"""The command ``hotconfig-provisioner``. Owns output and exit codes; needs only the extra ``provisioner``.

Exit codes are those of ``hotconfig``: 0 done, 1 not finished yet (``doctor``, ``probe``: a problem), 2 mend the
request, 3 mend the configuration, 4 try again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, cast

import anyio

from hotconfig.core.errors import ConfigurationError, HotConfigError, UsageError
from hotconfig.core.finding import PROBLEM
from hotconfig.core.tenants.states import LEASABLE
from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.provisioner.arguments import parser
from hotconfig.provisioner.asking import check_known, check_seconds, check_story
from hotconfig.provisioner.doctor.diagnosing import diagnose
from hotconfig.provisioner.following import Asking, Result
from hotconfig.provisioner.manifests import as_yaml, manifests
from hotconfig.provisioner.model import Adoption, CreateOrganization, OperationKind, Organization, Planned, Quota
from hotconfig.provisioner.provisioner import Provisioner
from hotconfig.provisioner.reconciler import Reconciled

NOT_FINISHED: Final = 1
PROBLEM_FOUND: Final = 1
TRY_AGAIN: Final = 4
INTERRUPTED: Final = 130
OUTPUT_CLOSED: Final = 141


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    try:
        code = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter would complain at its end
        code = OUTPUT_CLOSED
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code comes back."""
    words = sys.argv[1:] if arguments is None else arguments
    args = argparse.Namespace(json="--json" in words)
    try:
        parser().parse_args(words, args)
        if args.command == "manifests":
            return _print(args)
        if args.command == "doctor":
            return anyio.run(_doctor, args)
        return anyio.run(_carry_out, args)
    except HotConfigError as error:
        _complain(args, error)
        return 2 if isinstance(error, UsageError) else 3 if isinstance(error, ConfigurationError) else TRY_AGAIN
    except KeyboardInterrupt:
        return INTERRUPTED


async def _carry_out(args: argparse.Namespace) -> int:
    if not args.database_url:
        raise ConfigurationError("no database: set HOTCONFIG_DATABASE_URL, or pass --database-url")
    if args.command in {"get", "list", "history", "protect", "unprotect"}:
        await _keep(args)
        return 0
    async with Provisioner(args.database_url, args.kubeconfig, purger=args.purger, schema=args.schema) as provisioner:
        return await _work(provisioner, args)


async def _keep(args: argparse.Namespace) -> None:
    """What is the database's alone, and needs no Kubernetes."""
    rows = PostgresTenants(args.database_url, schema=args.schema)
    try:
        match args.command:
            case "get":
                _show(args, _organization(await rows.get(check_known(args.slug))), between="\n")
            case "list":
                listed = await rows.list()
                for each in listed:
                    _show(args, {"slug": each.slug, "state": each.state, "settled": each.settled})
                if not listed and not args.json:
                    sys.stderr.write("there are no organizations\n")
            case "protect" | "unprotect":
                check_story(args.by, args.reason)
                protected = args.command == "protect"
                found = await rows.protect(check_known(args.slug), protected=protected, by=args.by, reason=args.reason)
                _show(args, {"slug": found.slug, "state": found.state, "deletion_protected": found.deletion_protected})
            case _:
                await rows.get(check_known(args.slug))  # raises if there never was one
                for past in await rows.history(args.slug):
                    _show(args, dataclasses.asdict(past))
    finally:
        await rows.close()


async def _work(provisioner: Provisioner, args: argparse.Namespace) -> int:
    match args.command:
        case "plan":
            _planned(args, args.slug, await provisioner.plan(args.slug))
        case "run":
            await provisioner.list(limit=1)  # what is wrong from the start ends the program, with its exit code
            check_seconds("--interval", args.interval)  # here, where no task group wraps the error
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_on_sigterm, tasks.cancel_scope)
                await provisioner.run(interval_s=args.interval, on_cycle=partial(_cycle, args))
        case "reconcile" if args.dry_run:
            for each in await provisioner.list(states=sorted(LEASABLE)):
                _planned(args, each.slug, await provisioner.plan(each.slug))
        case "reconcile":
            cycle = await provisioner.reconcile_once()
            _show(args, dataclasses.asdict(cycle))
            return TRY_AGAIN if cycle.unavailable else 0
        case "probe":
            receipt = await provisioner.isolation_receipt(args.slug)
            _show(args, receipt.as_json())
            return PROBLEM_FOUND if receipt.breaches else 0
        case _:
            return await _ask(provisioner, args)
    return 0


async def _end_on_sigterm(scope: anyio.CancelScope) -> None:
    """The kernel ignores it for the first process of a container, unless somebody handles it."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def _ask(provisioner: Provisioner, args: argparse.Namespace) -> int:
    quota = _quota(args)
    if args.command == "purge" and args.purger is None and args.wait > 0 and not args.dry_run:
        raise ConfigurationError(
            "deleting takes the purger's identity: pass --purger, or --wait 0 to leave it to a reconciler that has it"
        )
    if args.dry_run:
        _planned(args, args.slug, await _dry(provisioner, args, quota))
        return 0
    asking = Asking(by=args.by, reason=args.reason, wait_s=args.wait)
    if args.key is not None:
        asking["idempotency_key"] = args.key
    if sys.stderr.isatty() if args.progress is None else args.progress:
        asking["on_progress"] = _progress
    return _told(args, await _asked(provisioner, args, quota, asking))


def _quota(args: argparse.Namespace) -> Quota | None:
    given: list[str] = [
        each for name in ("cpu", "memory", "storage") if (each := getattr(args, name, None)) is not None
    ]
    if not given:
        return None
    if len(given) < 3:
        raise UsageError("a quota is --cpu, --memory and --storage: give all three")
    return Quota(*given)


async def _dry(provisioner: Provisioner, args: argparse.Namespace, quota: Quota | None) -> tuple[Planned, ...]:
    if args.command == "create" and quota is not None:
        return await provisioner.plan(CreateOrganization(args.slug, args.name, args.owner, quota))
    kind = OperationKind(args.command)
    adoption = Adoption(args.policy) if kind is OperationKind.ADOPT else Adoption.NEVER
    return await provisioner.plan(args.slug, quota=quota, operation=kind, adoption=adoption)


async def _asked(provisioner: Provisioner, args: argparse.Namespace, quota: Quota | None, asking: Asking) -> Result:
    if quota is not None and args.command == "create":
        return await provisioner.create_organization(
            CreateOrganization(args.slug, args.name, args.owner, quota), **asking
        )
    if args.command == "adopt":
        return await provisioner.adopt(args.slug, policy=Adoption(args.policy), quota=quota, **asking)
    if quota is not None:
        return await provisioner.set_quota(args.slug, quota, **asking)
    if args.command == "offboard":
        return await provisioner.offboard(args.slug, retention_s=args.retention, **asking)
    method: Callable[..., Awaitable[Result]] = getattr(provisioner, args.command)
    return await method(args.slug, **asking)


async def _doctor(args: argparse.Namespace) -> int:
    """0: nothing stands in the way; 1: something does."""
    findings = await diagnose(args.database_url, args.schema, args.kubeconfig, args.purger)
    healthy = all(each.state != PROBLEM for each in findings)
    if args.json:
        _line({"healthy": healthy, "checks": [each.document() for each in findings]})
    for each in () if args.json else findings:
        sys.stdout.write(f"{each.state:8} {each.check}: {each.found}\n")
        if each.advice:
            sys.stdout.write(f"         → {each.advice}\n")
    return 0 if healthy else PROBLEM_FOUND


def _print(args: argparse.Namespace) -> int:
    objects = manifests(image=args.image, replicas=args.replicas, cluster_role=args.cluster_role)
    if args.json:
        _line({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    else:
        sys.stdout.write(as_yaml(objects))
    return 0


def _planned(args: argparse.Namespace, slug: str, lines: Sequence[Planned]) -> None:
    for line in lines:
        _show(args, {"slug": slug, **dataclasses.asdict(line)})
    if not lines and not args.json:
        sys.stderr.write(f"{slug}: nothing would change\n")


def _cycle(args: argparse.Namespace, found: Reconciled) -> None:
    if args.json or found.worked or found.held or found.unavailable:
        _show(args, dataclasses.asdict(found))
        sys.stdout.flush()


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _complain(args: argparse.Namespace, error: HotConfigError) -> None:
    if args.json:
        sys.stderr.write(_json({"error": {"type": type(error).__name__, "message": str(error)}}) + "\n")
    else:
        sys.stderr.write(f"hotconfig-provisioner: {error}\n")


def _organization(organization: Organization) -> dict[str, Any]:
    receipt = organization.isolation_receipt
    return {
        **dataclasses.asdict(organization),
        "conditions": _conditions(organization),
        "isolation_receipt": None if receipt is None else receipt.as_json(),
    }


def _conditions(organization: Organization) -> list[dict[str, Any]]:
    return [each.as_json() for each in organization.conditions]


def _told(args: argparse.Namespace, result: Result) -> int:
    organization, operation = result.organization, result.operation
    found: dict[str, Any] = {"slug": organization.slug, "state": organization.state, "operation": operation.id}
    found |= {"finished": result.finished, "conditions": _conditions(organization)}
    _show(args, found | ({"overused": dict(result.overused)} if result.overused else {}))
    return 0 if result.finished else NOT_FINISHED


def _show(args: argparse.Namespace, found: Mapping[str, Any], *, between: str = "  ") -> None:
    if args.json:
        _line(found)
        return
    text = between.join(
        f"{name}={_text(value)}" for name, value in found.items() if value not in (None, (), [], "", {})
    )
    sys.stdout.write(f"{text}\n")


def _text(value: object) -> str:
    """What is made of parts as JSON, everything else as it is."""
    if isinstance(value, Mapping | list | tuple):
        return _json(cast("object", value))
    return _written(value)


def _line(found: Mapping[str, Any]) -> None:
    sys.stdout.write(f"{_json(found)}\n")


def _json(found: object) -> str:
    return json.dumps(found, default=_written, ensure_ascii=False)


def _written(value: object) -> str:
    """Times as ``hotconfig`` writes them."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
