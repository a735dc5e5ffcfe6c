"""Which tests need a server or a process of their own: found by following what a test calls, never listed by hand.

A broker, a PostgreSQL, a Redis and a worker of its own are all started as processes, by a fixture, a helper or the
test itself. Every test from which such a start can be reached is marked `external`. The others are `make test-fast`,
and a process that one of them starts after all fails it.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
OWN = tuple(f"{ROOT / name}{os.sep}" for name in ("tests", "deploy", "examples", "benchmarks"))
"""Where calls are followed."""
STARTS = frozenset({"subprocess", "create_subprocess_exec", "multiprocessing", "ProcessPoolExecutor"})
STARTED = frozenset({"subprocess.Popen", "os.posix_spawn"})
LOOKUPS = frozenset({"ldconfig", "gcc", "cc", "ld", "objdump"})
"""What `ctypes.util.find_library` asks, as asyncssh has it do at its import."""
EVALUATION = "connectors.nodes.evaluating"
"""The process for expressions: any test may evaluate one, and all of them share it."""
IN_PROCESS = frozenset({"sqlite", "memory"})
"""Parameters that choose a store without a server."""
SERVERS = "databases"
"""The fixture that starts servers only when it is asked for one."""

ASKED = "getfixturevalue"

_running: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Watch for processes that tests without `external` start."""
    sys.addaudithook(_refuse_processes)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a process."""
    for item in items:
        if isinstance(item, pytest.Function) and is_external(item):
            item.add_marker("external")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note the test that runs, if it may start no process."""
    if item.get_closest_marker("external") is None:
        _running.append(item.nodeid)
    try:
        return (yield)
    finally:
        _running.clear()


def _refuse_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event in STARTED and _running and not _is_allowed(*arguments[:2]):
        raise AssertionError(f"{_running[0]} starts a process, which support/selection.py did not see")


def _is_allowed(program: Any, arguments: Any) -> bool:
    return Path(os.fsdecode(program or "")).name in LOOKUPS or EVALUATION in str(arguments)


def is_external(item: pytest.Function) -> bool:
    """Whether a process is started by the test, by a fixture of it, or by what these call."""
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    parameters = {value for value in given if isinstance(value, str)}
    left_out = set() if parameters.isdisjoint(IN_PROCESS) else {SERVERS}
    needed = [
        definitions[-1] for name, definitions in item._fixtureinfo.name2fixturedefs.items() if name not in left_out
    ]
    reached = _reached(inspect.unwrap(item.function)).union(*(_reached(definition.func) for definition in needed))
    if not left_out and ASKED in reached:
        for name in {*reached, *parameters}:
            reached |= _reached_by_fixture(item, name)
    return not STARTS.isdisjoint(reached)


def reaches_process(function: Callable[..., Any]) -> bool:
    """Whether a function starts a process, or calls what does."""
    return not STARTS.isdisjoint(_reached(function))


def reaches_process_by_fixture(item: pytest.Function, name: str) -> bool:
    """Whether a fixture does, or one that it needs."""
    return not STARTS.isdisjoint(_reached_by_fixture(item, name))


def _reached_by_fixture(item: pytest.Function, name: str) -> frozenset[str]:
    """Return the names that the nearest fixture of this name reaches, by those that it needs itself too."""
    definitions = item.session._fixturemanager.getfixturedefs(name, item) or ()
    reached: frozenset[str] = frozenset()
    for definition in definitions[-1:]:
        reached = _reached(definition.func)
        for other in set(definition.argnames) - {name}:
            reached |= _reached_by_fixture(item, other)
    return reached


@cache
def _reached(function: Callable[..., Any]) -> frozenset[str]:
    """Return all names in the code that can be reached, and the texts of code that asks for fixtures."""
    codes = list(_codes(function))
    names = {name for code in codes for name in code.co_names}
    texts = {text for code in codes if ASKED in code.co_names for text in code.co_consts if isinstance(text, str)}
    return frozenset(names | texts)


def _codes(value: object, seen: set[int] | None = None) -> Iterator[CodeType]:
    """Yield the code of a function or class of ours, and of all that it names."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, type) and _is_own(sys.modules.get(value.__module__)):
        for part in vars(value).values():
            yield from _codes(part, seen)
    function = _function(value)
    if function is not None and function.__code__.co_filename.startswith(OWN):
        for code in _nested(function.__code__):
            yield code
            for named in _named(code.co_names, function.__globals__):
                yield from _codes(named, seen)


def _function(value: object) -> FunctionType | None:
    """Return what a decorator, a method or a property holds."""
    value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    function = inspect.unwrap(value) if callable(value) else None
    return function if isinstance(function, FunctionType) else None


def _is_own(module: object) -> bool:
    return isinstance(module, ModuleType) and (getattr(module, "__file__", None) or "").startswith(OWN)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _named(names: tuple[str, ...], known: dict[str, Any]) -> Iterator[object]:
    for name in names:
        value = known.get(name)
        yield value
        if _is_own(value):
            yield from (getattr(value, other, None) for other in names)
