"""The command ``hotconfig-provisioner``. Owns arguments, output and exit codes; needs only the extra ``provisioner``.

Exit codes are those of ``hotconfig``: 0 done, 1 not finished yet, 2 mend the request, 3 mend the configuration,
4 try again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from hotconfig.core.errors import ConfigurationError, HotConfigError, UsageError
from hotconfig.provisioner.following import Asking, Result
from hotconfig.provisioner.manifests import as_yaml, manifests
from hotconfig.provisioner.model import Adoption, CreateOrganization, Quota
from hotconfig.provisioner.provisioner import Provisioner

NOT_FINISHED: Final = 1
INTERRUPTED: Final = 130
_PLAIN: Final = ("suspend", "resume", "offboard", "restore", "purge", "adopt")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code comes back."""
    args = _parser().parse_args(arguments)
    if args.command == "manifests":
        sys.stdout.write(as_yaml(manifests(image=args.image, replicas=args.replicas)))
        return 0
    try:
        return anyio.run(_with_provisioner, args)
    except HotConfigError as error:
        sys.stderr.write(f"hotconfig-provisioner: {error}\n")
        return 2 if isinstance(error, UsageError) else 3 if isinstance(error, ConfigurationError) else 4
    except KeyboardInterrupt:
        return INTERRUPTED


async def _with_provisioner(args: argparse.Namespace) -> int:
    if not args.database_url:
        raise ConfigurationError("no database: set HOTCONFIG_DATABASE_URL, or pass --database-url")
    async with Provisioner(args.database_url, args.kubeconfig, purger=args.purger, schema=args.schema) as provisioner:
        return await _carry_out(provisioner, args)


async def _carry_out(provisioner: Provisioner, args: argparse.Namespace) -> int:
    match args.command:
        case "get":
            _show(args, dataclasses.asdict(await provisioner.get(args.slug)))
        case "list":
            for each in await provisioner.list():
                _show(args, {"slug": each.slug, "state": each.state, "settled": each.settled})
        case "plan":
            await _plan(provisioner, args, args.slug)
        case "run":
            await provisioner.run(interval_s=args.interval)
        case "reconcile":
            _show(args, dataclasses.asdict(await provisioner.reconcile_once()))
        case _:
            return await _ask(provisioner, args)
    return 0


async def _ask(provisioner: Provisioner, args: argparse.Namespace) -> int:
    asking = Asking(by=args.by, reason=args.reason, wait_s=args.wait)
    if args.key is not None:
        asking["idempotency_key"] = args.key
    quota = Quota(args.cpu, args.memory, args.storage) if args.command in {"create", "quota"} else None
    if quota is not None and args.dry_run:
        new = CreateOrganization(args.slug, args.name, args.owner, quota) if args.command == "create" else args.slug
        await _plan(provisioner, args, new, quota)
        return 0
    if args.command == "create" and quota is not None:
        wanted = CreateOrganization(args.slug, args.name, args.owner, quota)
        return _told(args, await provisioner.create_organization(wanted, **asking))
    if quota is not None:
        return _told(args, await provisioner.set_quota(args.slug, quota, **asking))
    if args.command == "adopt":
        return _told(args, await provisioner.adopt(args.slug, policy=Adoption(args.policy), **asking))
    method: Callable[..., Any] = partial(getattr(provisioner, args.command), args.slug)
    return _told(args, await method(**asking))


async def _plan(
    provisioner: Provisioner,
    args: argparse.Namespace,
    wanted: CreateOrganization | str,
    quota: Quota | None = None,
) -> None:
    for line in await provisioner.plan(wanted, quota=quota):
        _show(args, dataclasses.asdict(line))


def _told(args: argparse.Namespace, result: Result) -> int:
    organization, operation = result.organization, result.operation
    found: dict[str, Any] = {"slug": organization.slug, "state": organization.state, "operation": operation.id}
    found |= {"finished": result.finished, "conditions": [each.as_json() for each in organization.conditions]}
    _show(args, found | ({"overused": dict(result.overused)} if result.overused else {}))
    return 0 if result.finished else NOT_FINISHED


def _show(args: argparse.Namespace, found: Mapping[str, Any]) -> None:
    if args.json:
        text = json.dumps(found, default=str, ensure_ascii=False)
    else:
        text = "  ".join(f"{name}={value}" for name, value in found.items() if value not in (None, (), [], ""))
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("hotconfig-provisioner", description="Tenants across PostgreSQL and Kubernetes.")
    parser.add_argument("--database-url", default=os.environ.get("HOTCONFIG_DATABASE_URL"))
    parser.add_argument("--schema", default=os.environ.get("HOTCONFIG_SCHEMA") or "hotconfig")
    parser.add_argument(
        "--kubeconfig", default=os.environ.get("KUBECONFIG") or None, help="default: the service account of the pod"
    )
    parser.add_argument("--purger", default=_purger(), help="kubeconfig or service account that deletes")
    parser.add_argument("--json", action="store_true", help="one JSON document for each line")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("get", "plan"):
        commands.add_parser(name).add_argument("slug")
    for name in ("list", "reconcile"):
        commands.add_parser(name)
    commands.add_parser("run").add_argument("--interval", type=float, default=30.0, help="seconds between cycles")
    printed = commands.add_parser("manifests")
    printed.add_argument("--image", default="hotconfig:latest")
    printed.add_argument("--replicas", type=int, default=2)
    for name in ("create", "quota", *_PLAIN):
        _add_request(commands.add_parser(name), name)
    return parser


def _add_request(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("slug")
    command.add_argument("--by", default=_user(), help="for the histories")
    command.add_argument("--reason")
    command.add_argument("--key", help="idempotency key")
    command.add_argument("--wait", type=float, default=10.0, help="seconds; 0: only store the request")
    if name == "create":
        command.add_argument("--name", required=True)
        command.add_argument("--owner", required=True, help="mail address")
    if name in {"create", "quota"}:
        for resource, default in (("cpu", "10"), ("memory", "20Gi"), ("storage", "10Gi")):
            command.add_argument(f"--{resource}", required=name == "quota", default=default)
        command.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    if name == "adopt":
        command.add_argument("--policy", choices=[each.value for each in Adoption], default="never")


def _user() -> str:
    """Who calls; the user of a container often has no name."""
    return os.environ.get("LOGNAME") or os.environ.get("USER") or "hotconfig-provisioner"


def _purger() -> str | None:
    """The purger's service account, as the Deployment of ``manifests`` mounts it."""
    token = os.environ.get("HOTCONFIG_PURGER_TOKEN_FILE")
    return None if not token else str(Path(token).parent)
