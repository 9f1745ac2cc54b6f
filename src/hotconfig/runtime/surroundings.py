"""Where hotconfig cannot run, and with what, said at the start instead of by values that stand still."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import cast

from hotconfig.core.errors import ConfigurationError, NotStartedError, RetryableError
from hotconfig.runtime.worker import ending


def refuse_unfit_surroundings() -> None:
    """Look around before threads are started.

    Raises:
        ConfigurationError: this is a subinterpreter, or gevent came too late.
    """
    _refuse_subinterpreters()
    _refuse_gevent_after_psycopg()


def check_url(argument: str, url: object, form: str) -> None:
    """Let nothing but text pass for a URL; ``form`` is an example.

    Raises:
        ConfigurationError: it is none. Whatever it is, it may hold a password: only its type is told.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{argument} has to be a str, and is of type {type(url).__name__}: pass {form}")


@contextmanager
def resources() -> Generator[None]:
    """Around what loads drivers and opens descriptors: says in our words why it cannot be done.

    Raises:
        RetryableError: there is no file descriptor left.
        NotStartedError: the interpreter is ending.
    """
    try:
        yield
    except OSError as error:
        raise RetryableError(f"hotconfig cannot be started: {error.strerror}. Raise `ulimit -n`.") from error
    except RuntimeError as error:
        if not ending():
            raise
        raise NotStartedError("the interpreter is ending: drivers cannot be loaded any more") from error


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
