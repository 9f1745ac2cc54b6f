"""The Kubernetes double in a process of its own, so that its work is not counted as the provisioner's.

It is asked over a pipe: what it counted, and how slow it shall be. Must not know what is measured against it.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

_SPAWN: Final = multiprocessing.get_context("spawn")
_ANSWER_WITHIN_S: Final = 60.0
_END_WITHIN_S: Final = 10.0


@dataclass(frozen=True)
class Counted:
    """What the double saw since it was told to count."""

    requests: int
    in_sequence: int
    """The most of them that waited for one another."""


class Cluster:
    """The near end. ``kubeconfig`` is the provisioner's, ``purger`` that of the identity that deletes."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self._connection = connection
        self.kubeconfig = directory / "kubeconfig-provisioner.yaml"
        self.purger = directory / "kubeconfig-purger.yaml"

    def slow_down(self, latency_s: float) -> None:
        """Each call takes so much longer from now on."""
        self._ask("slow", latency_s)

    def count(self) -> None:
        """Count from now on."""
        self._ask("count", 0.0)

    def counted(self) -> Counted:
        """What was asked of it since :meth:`count`."""
        return Counted(*self._ask("counted", 0.0))

    def controllers(self, *, running: bool) -> None:
        """Whether quotas are filled by somebody else than the provisioner."""
        self._ask("controllers", float(running))

    def _ask(self, what: str, value: float) -> Any:
        self._connection.send((what, value))
        if not self._connection.poll(_ANSWER_WITHIN_S):
            raise TimeoutError("the Kubernetes double does not answer")
        return self._connection.recv()


@contextmanager
def cluster() -> Generator[Cluster]:
    """A new one, empty, without TLS, which ends with the block."""
    near, far = _SPAWN.Pipe()
    with tempfile.TemporaryDirectory(prefix="hotconfig-bench-") as directory:
        process = _SPAWN.Process(target=_serve, args=(far, directory), daemon=True)
        process.start()
        far.close()
        try:
            found = Cluster(near, Path(directory))
            found.count()
            yield found
        finally:
            near.close()
            process.join(_END_WITHIN_S)
            if process.is_alive():
                process.terminate()


def _serve(connection: Connection, directory: str) -> None:
    from hotconfig.testing.kubernetes import KubernetesDouble

    with KubernetesDouble(tls=False) as double:
        for user in ("provisioner", "purger"):
            double.kubeconfig(Path(directory), user=user)
        while True:
            try:
                what, value = connection.recv()
            except EOFError:
                return
            answer: Any = None
            match what:
                case "slow":
                    double.faults.latency_s = value
                case "controllers":
                    double.pace.is_running = bool(value)
                case "count":
                    double.log.clear()
                case _:
                    answer = (len(double.log), double.log.rounds())
            connection.send(answer)
