"""``override``: settings that differ for one test. Owns the forms it comes in; must not know how a value is shown.

What makes it true to life is below, in :mod:`hotconfig.runtime.overriding`: values pass the text rules and the whole
class's validation, the live object is swapped, listeners are told, and afterwards all of it once more.
"""

from __future__ import annotations

import functools
import inspect
import unittest
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from types import MappingProxyType, TracebackType
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

from hotconfig.core.errors import UsageError
from hotconfig.runtime import overriding

T = TypeVar("T")

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Override:
    """Made by :func:`override`, which says what it does. May be entered again, also while it is entered."""

    def __init__(self, target: overriding.Target, values: Mapping[str, object]) -> None:
        self._target = target
        self._values = values
        self._entered: list[overriding.Entry] = []

    def __repr__(self) -> str:
        kind = self._target if isinstance(self._target, type) else type(self._target)
        return f"override({kind.__name__}, {', '.join(sorted(self._values))})"

    def __enter__(self) -> None:
        """Show the values. Raises as :func:`override`."""
        self._entered.append(overriding.begin(self._target, self._values))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show again what PostgreSQL says now, or the overrides around this one."""
        overriding.end(self._entered.pop())

    def __call__(self, decorated: T) -> T:
        """Decorate a function, a coroutine function, a generator of either kind, or a class of tests.

        Raises:
            UsageError: it is none of these.
        """
        if isinstance(decorated, type):
            return cast("T", _around_tests(decorated, self._again))
        if not callable(decorated):
            raise UsageError(f"override decorates functions and classes of tests, not {type(decorated).__name__}")
        return cast("T", _around(cast("Callable[..., Any]", decorated), self._again))

    def _again(self) -> Override:
        """One of its own for each call: calls may overlap, in threads and tasks."""
        return Override(self._target, self._values)


def override(
    settings: BaseModel | type[BaseModel], values: Mapping[str, object] = _NOTHING, /, **keys: object
) -> Override:
    """Override values in this process: ``with override(ai, threshold=0.9): ...``, or as a decorator of tests.

    The values go the way of a real change: text rules, validation of the whole class, swap; listeners are told
    (``change.by`` is ``"hotconfig.testing"``), and once more when the override ends. Nothing is written to PostgreSQL
    or Redis, and ``store`` goes on writing and validating as if there were no override.

    An override wins over everything: PostgreSQL, environment and pins. A real change that comes meanwhile is taken as
    ever: keys that are not overridden show it at once, overridden ones when the override ends. One that does not
    validate together with the override is rejected in this process, and shown when the override ends. Overrides nest;
    of one key the newest counts, and they may end in any order.

    It holds for the **whole process**: all threads and tasks see it, other processes (as pytest-xdist's) do not. Two
    tests that override the same key at once in two threads get in each other's way.

    As a decorator it takes functions, coroutine functions and generators of both kinds, and begins when they are
    called (a generator: when it is first advanced). Around a ``unittest.TestCase`` it holds for each test with its
    ``setUp``, ``tearDown`` and cleanups, around another class with ``setup_method`` and ``teardown_method``; a subclass
    with such methods of its own calls ``super()``'s, as ever.

    Args:
        settings: A live object. Or a marked class: then wherever it is bound in this process, also if that happens
            while the override lasts. Where the class is never bound, nothing is overridden.
        values: By key, as ``store.update`` takes them.
        keys: The same as keywords, as ``store.set`` takes them: a ``str`` for a field of another type is text.

    Raises:
        UsageError: there is no value at all.
        InvalidValueError: when it begins: a value does not fit, by itself or with the others. Nothing was changed.
            Where the class is bound only meanwhile, what does not fit with the others is ``bind``'s
            ``InvalidStateError``.
        UnknownKeyError, SecretValueError, NotBoundError, DeclarationError: when it begins.
        RetryableError: the line is busy with one of your validators for more than ten seconds.
    """
    wanted = {**values, **keys}
    if not wanted:
        raise UsageError("nothing to override: name at least one key")
    return Override(settings, MappingProxyType(wanted))


def _around(function: Callable[..., Any], again: Callable[[], Override]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _around_async_generator(function, again)
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            inner: Generator[Any, Any, Any] = function(*args, **kwargs)
            with again():
                return (yield from inner)

        return generate
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            with again():
                return await function(*args, **kwargs)

        return wait

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with again():
            return function(*args, **kwargs)

    return call


def _around_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], again: Callable[[], Override]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    @functools.wraps(function)
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        # There is no `yield from` here: what is sent goes in; what is thrown in ends the inner generator by aclose().
        with again():
            async with aclosing(function(*args, **kwargs)) as inner:
                step = inner.asend(None)
                while True:
                    try:
                        value = await step
                    except StopAsyncIteration:
                        return
                    step = inner.asend((yield value))

    return generate


def _around_tests(tests: type[Any], again: Callable[[], Override]) -> type[Any]:
    if issubclass(tests, unittest.TestCase):
        _around_unittest(tests, again)
    else:
        _around_methods(tests, again)
    return tests


def _around_unittest(tests: type[unittest.TestCase], again: Callable[[], Override]) -> None:
    set_up = tests.setUp

    @functools.wraps(set_up)
    def setUp(self: unittest.TestCase) -> None:
        self.enterContext(again())  # unittest leaves it after tearDown, also when setUp fails
        set_up(self)

    type.__setattr__(tests, "setUp", setUp)


def _around_methods(tests: type[Any], again: Callable[[], Override]) -> None:
    """``setup_method`` and ``teardown_method`` as pytest calls them: both may take the test's method, or not."""
    set_up = _optional(tests, "setup_method")
    tear_down = _optional(tests, "teardown_method")

    def setup_method(self: Any, method: Any) -> None:
        entered = again()
        entered.__enter__()
        try:
            set_up(self, method)
        except BaseException:
            entered.__exit__(None, None, None)  # pytest tears down only what was set up
            raise
        self.__dict__.setdefault("_hotconfig_overrides", []).append(entered)

    def teardown_method(self: Any, method: Any) -> None:
        try:
            tear_down(self, method)
        finally:
            self.__dict__["_hotconfig_overrides"].pop().__exit__(None, None, None)

    type.__setattr__(tests, "setup_method", setup_method)
    type.__setattr__(tests, "teardown_method", teardown_method)


def _optional(tests: type[Any], name: str) -> Callable[[Any, Any], None]:
    method: Callable[..., object] | None = getattr(tests, name, None)
    if method is None:
        return lambda _self, _method: None
    takes_method = len(inspect.signature(method).parameters) > 1

    def call(self: Any, tested: Any) -> None:
        method(self, tested) if takes_method else method(self)

    return call
