"""The words of ``hotconfig-provisioner``: commands, options, and what the environment says."""

from __future__ import annotations

import argparse
import getpass
import os
import socket
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NoReturn

from hotconfig.core.errors import UsageError
from hotconfig.provisioner.asking import MAX_BY
from hotconfig.provisioner.model import Adoption
from hotconfig.provisioner.template import TENANT_ADMIN

CHANGING: Final = {
    "create": "Create a tenant.",
    "quota": "Change a tenant's quota.",
    "suspend": "Let nothing new start; what runs goes on.",
    "resume": "Let a suspended tenant start things again.",
    "offboard": "Isolate a tenant at once, and purge it when its retention is over.",
    "restore": "Bring an offboarded tenant back.",
    "purge": "Delete an offboarded tenant now, for good.",
    "adopt": "Take over a row or a namespace that nobody manages, or try a failed tenant again.",
}


class Parser(argparse.ArgumentParser):
    """Raises what is wrong with the words, rather than to print it and to exit: it may have to be JSON."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where it says how it would be right.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}. See {self.prog} --help.")


def parser() -> Parser:
    """The command line. The environment is read now."""
    made = Parser("hotconfig-provisioner", description="Tenants across PostgreSQL and Kubernetes.", allow_abbrev=False)
    made.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    _add_common(made, is_top=True)
    commands = made.add_subparsers(dest="command", required=True)

    def add(name: str, said: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=said, description=said, allow_abbrev=False)
        _add_common(command, is_top=False)
        return command

    add("get", "Show an organization.").add_argument("slug")
    add("plan", "Show what carrying out would change.").add_argument("slug")
    add("list", "Show all organizations.")
    add("history", "Show what became of an organization, the newest first.").add_argument("slug")
    add("probe", "Try, as the tenant, what must be denied, and keep the receipt.").add_argument("slug")
    for name, said in (("protect", "Refuse to offboard and to purge a tenant."), ("unprotect", "Lift that.")):
        _add_story(add(name, said))
    _add_dry_run(add("reconcile", "Make one cycle: carry out what is due, repair what drifted."))
    run = add("run", "Reconcile again and again.")
    run.add_argument("--interval", type=float, default=30.0, help="seconds between cycles")
    add("doctor", "Check everything between here and a tenant, and say what to do. Changes nothing.")
    printed = add("manifests", "Print what the cluster needs, for kubectl apply.")
    printed.add_argument("--image", default="hotconfig:latest", help="one with hotconfig[binary,provisioner] inside")
    printed.add_argument("--replicas", type=int, default=2)
    printed.add_argument(
        "--cluster-role", metavar="ROLE", default=TENANT_ADMIN, help="the role that tenants get, as in the template"
    )
    for name, said in CHANGING.items():
        _add_request(add(name, said), name)
    return made


def _add_common(command: argparse.ArgumentParser, *, is_top: bool) -> None:
    """What every command takes, before its name or after."""

    def add(flag: str, default: object, said: str | None = None, **how: Any) -> None:
        # Given after the name, it replaces what stood before; not given, it must not.
        command.add_argument(flag, default=default if is_top else argparse.SUPPRESS, help=said, **how)

    add("--database-url", os.environ.get("HOTCONFIG_DATABASE_URL"), "default: HOTCONFIG_DATABASE_URL", metavar="URL")
    add(
        "--schema",
        os.environ.get("HOTCONFIG_SCHEMA") or "hotconfig",
        "of hotconfig's tables; default: HOTCONFIG_SCHEMA, else hotconfig",
    )
    add(
        "--kubeconfig",
        os.environ.get("KUBECONFIG") or None,
        "default: KUBECONFIG, else the service account of the pod",
        metavar="PATH",
    )
    add("--purger", _purger(), "kubeconfig or service account that deletes", metavar="PATH")
    add("--json", default=False, said="JSON documents, one for each line", action="store_true")


def _add_dry_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")


def _add_story(command: argparse.ArgumentParser) -> None:
    command.add_argument("slug")
    command.add_argument("--by", default=_user(), help="for the histories; default: user and host")
    command.add_argument("--reason")


def _add_request(command: argparse.ArgumentParser, name: str) -> None:
    _add_story(command)
    command.add_argument("--key", help="idempotency key")
    command.add_argument("--wait", type=float, default=10.0, help="seconds; 0: only store the request")
    command.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="a line on stderr for each step and condition; by default on a terminal",
    )
    _add_dry_run(command)
    if name == "create":
        command.add_argument("--name", required=True)
        command.add_argument("--owner", required=True, help="mail address")
    if name in {"create", "quota", "adopt"}:
        for resource, usual in (("cpu", "10"), ("memory", "20Gi"), ("storage", "10Gi")):
            said = {"create": f"default: {usual}", "adopt": "default: what its rows say"}.get(name)
            default = usual if name == "create" else None
            command.add_argument(f"--{resource}", required=name == "quota", default=default, help=said)
    if name == "offboard":
        command.add_argument("--retention", type=float, help="seconds until it is purged; default: the template's")
    if name == "adopt":
        command.add_argument(
            "--policy",
            choices=[each.value for each in Adoption],
            default="never",
            help="a namespace of somebody else's: leave it, take it if nothing would change, or take it",
        )


def _version() -> str:
    try:
        return metadata.version("hotconfig")
    except metadata.PackageNotFoundError:
        return "(not installed, run from source)"


def _user() -> str:
    """Who calls, as ``hotconfig set`` says it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container under a number that has no name; which of the two depends on Python
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"[:MAX_BY]


def _purger() -> str | None:
    """The purger's service account, as the Deployment of ``manifests`` mounts it."""
    token = os.environ.get("HOTCONFIG_PURGER_TOKEN_FILE")
    return None if not token else str(Path(token).parent)
