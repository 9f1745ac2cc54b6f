"""Where hotconfig cannot run, said at the start instead of by values that stand still."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import cast

from hotconfig.core.errors import ConfigurationError


def refuse_unfit_surroundings() -> None:
    """Look around before threads are started.

    Raises:
        ConfigurationError: this is a subinterpreter, or gevent came too late.
    """
    _refuse_subinterpreters()
    _refuse_gevent_after_psycopg()


def _refuse_subinterpreters() -> None:
    # pydantic refuses to be loaded into a second interpreter, but the first that loads it need not be the main one.
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = import_module(name)
        except ImportError:  # it has the other name, or there are none
            continue
        if _number(interpreters.get_current()) != _number(interpreters.get_main()):
            raise ConfigurationError(
                "hotconfig does not run in a subinterpreter: pydantic and psycopg cannot be loaded into several. "
                "Start it in the main interpreter and hand the values over, or use processes"
            )


def _refuse_gevent_after_psycopg() -> None:
    # psycopg decides when it is imported whether it waits in C, which halts all greenlets, or in patched Python.
    monkey, waiting = sys.modules.get("gevent.monkey"), sys.modules.get("psycopg.waiting")
    if monkey is None or waiting is None or not monkey.is_module_patched("threading"):
        return
    if waiting.wait is getattr(waiting, "wait_c", None):
        raise ConfigurationError(
            "gevent.monkey.patch_all() was called after psycopg had been imported: every wait for PostgreSQL would "
            "halt all greenlets. Call patch_all() before all other imports"
        )


def _number(interpreter: object) -> object:
    # 3.13 returns the number and where it comes from.
    return cast("tuple[object, ...]", interpreter)[0] if isinstance(interpreter, tuple) else interpreter
