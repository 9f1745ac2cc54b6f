"""The synchronous face: every method of :class:`Provisioner`, on a thread that runs it.

No twin kept by hand: each name points at the asynchronous method, whose signature and docstring it has.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from hotconfig.core.errors import NotStartedError
from hotconfig.provisioner.provisioner import Provisioner

P = ParamSpec("P")
R = TypeVar("R")


class Blocking(Generic[P, R]):
    """A method of :class:`Provisioner` that blocks until it is done."""

    def __init__(self, method: Callable[Concatenate[Provisioner, P], Coroutine[Any, Any, R]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: SyncProvisioner, owner: type[SyncProvisioner]) -> Callable[P, R]:
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            answer: R = instance.portal.call(partial(self._method, instance.provisioner, *args, **kwargs))
            return answer

        call.__doc__ = self._method.__doc__
        return call


class SyncProvisioner:
    """A :class:`Provisioner` for programs without an event loop::

        with SyncProvisioner(Provisioner(database_url, kubeconfig)) as provisioner:
            provisioner.create_organization(CreateOrganization("acme", "Acme", "ann@acme.example"), by="ann")

    Any thread may call, any number at once. An interrupt (Ctrl-C) leaves what was asked for to the next worker.
    """

    create_organization: Final = Blocking(Provisioner.create_organization)
    set_quota: Final = Blocking(Provisioner.set_quota)
    suspend: Final = Blocking(Provisioner.suspend)
    resume: Final = Blocking(Provisioner.resume)
    offboard: Final = Blocking(Provisioner.offboard)
    restore: Final = Blocking(Provisioner.restore)
    purge: Final = Blocking(Provisioner.purge)
    adopt: Final = Blocking(Provisioner.adopt)
    protect: Final = Blocking(Provisioner.protect)
    get: Final = Blocking(Provisioner.get)
    list: Final = Blocking(Provisioner.list)
    history: Final = Blocking(Provisioner.history)
    operation: Final = Blocking(Provisioner.operation)
    plan: Final = Blocking(Provisioner.plan)
    isolation_receipt: Final = Blocking(Provisioner.isolation_receipt)
    reconcile_once: Final = Blocking(Provisioner.reconcile_once)
    run: Final = Blocking(Provisioner.run)

    def __init__(self, provisioner: Provisioner) -> None:
        self.provisioner = provisioner
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()

    @property
    def portal(self) -> BlockingPortal:
        """The event loop's door; NotStartedError outside ``with``."""
        if self._portal is None:
            raise NotStartedError("this SyncProvisioner is not open: use it within `with`")
        return self._portal

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self.provisioner))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.close()
        finally:
            self._portal = None
