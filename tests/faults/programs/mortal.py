"""Provisioners that die, one after the other: each line of standard input is a life, and each line of output its end.

Every life is a forked child of this process, which has no threads: so a death by SIGKILL is a real one, without the
time that an interpreter needs to start. The child kills itself right before or right after its n-th call to Kubernetes
or to the database, counting both.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio

from hotconfig.postgres.tenants import PostgresTenants
from hotconfig.provisioner import Provisioner, TenantTemplate
from hotconfig.provisioner.kubernetes.client import KubernetesClient
from tests.support.tenant_actions import (
    WAIT_S,
    adopt,
    create,
    offboard,
    purge,
    quota,
    refused,
    restore,
    resume,
    suspend,
)

THROUGH: Final = "through"


@dataclass
class Life:
    """How many calls it takes to its end. 0: it lives."""

    calls: int = 0
    before: bool = False

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def next_is_last(self) -> bool:
        return next(self._numbers) == self.calls


def mortal(call: Callable[..., Awaitable[Any]], life: Life) -> Callable[..., Awaitable[Any]]:
    """The same call, at which the process may die."""

    async def called(*args: Any, **kwargs: Any) -> Any:
        is_last = life.next_is_last()
        if is_last and life.before:
            die()
        try:
            return await call(*args, **kwargs)
        finally:  # also when it was refused
            if is_last:
                die()

    return called


class Mortal:
    """A port to Kubernetes whose caller dies at one of its calls."""

    def __init__(self, inner: KubernetesClient, life: Life) -> None:
        self._inner = inner
        self._life = life

    async def open(self) -> None:
        """Without connections ahead, which a life of a few calls does not need."""

    async def close(self) -> None:
        await self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return mortal(getattr(self._inner, name), self._life)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def reconcile(provisioner: Provisioner, slug: str) -> None:
    """Until it is settled. Whoever dies meanwhile leaves that to another."""
    with anyio.fail_after(WAIT_S):
        while True:
            await provisioner.reconcile_once()
            found = await provisioner.get(slug)
            if found.settled and not found.conditions and found.lease_owner is None:
                return
            await anyio.sleep(0.01)


WORK: Final[dict[str, Callable[[Provisioner, str], Awaitable[None]]]] = {
    each.__name__: each
    for each in (create, refused, quota, suspend, resume, offboard, restore, purge, adopt, reconcile)
}


Clients = tuple[KubernetesClient, KubernetesClient]
"""The provisioner's and the purger's. Made once, connected in each life: reading certificates takes its time."""


async def live(database_url: str, clients: Clients, work: str, slug: str, life: Life) -> None:
    """One life: open, do the work, close."""
    kube, purger = (Mortal(client, life) for client in clients)
    PostgresTenants._rows = mortal(PostgresTenants._rows, life)  # type: ignore[method-assign,assignment]
    try:
        template = TenantTemplate(probe=False)
        async with Provisioner(database_url, kube, purger=purger, template=template) as provisioner:
            await WORK[work](provisioner, slug)
    finally:
        await kube.close()
        await purger.close()


def fork(database_url: str, clients: Clients, wish: dict[str, Any]) -> str:
    """Live in a child, and say how it ended: ``through``, ``signal 9``, or ``exit 1``."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            life = Life(wish["calls"], wish["before"])
            anyio.run(live, database_url, clients, wish["work"], wish["slug"], life)
            code = 0
        except BaseException:  # noqa: BLE001 - told by the exit code; nothing of the parent may run on here
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return THROUGH if os.WEXITSTATUS(status) == 0 else f"exit {os.WEXITSTATUS(status)}"


def main() -> None:
    database_url, *kubeconfigs = sys.argv[1:]
    clients = KubernetesClient(kubeconfigs[0]), KubernetesClient(kubeconfigs[1])
    for line in sys.stdin:
        print(fork(database_url, clients, json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
