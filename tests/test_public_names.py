"""What users import is what `__all__` says."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import applications
import connectors
import worker
import worker.testing

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "package", [applications, connectors, worker, worker.testing], ids=lambda package: package.__name__
)
def test_all_names_what_is_there(package: object) -> None:
    names = package.__all__
    assert list(names) == sorted(names)
    assert all(hasattr(package, name) for name in names)


@pytest.mark.parametrize(
    "package", [applications, connectors, worker, worker.testing], ids=lambda package: package.__name__
)
def test_nothing_public_is_left_out(package: object) -> None:
    modules = {entry.name for entry in pkgutil.iter_modules(package.__path__)}
    public = {name for name in vars(package) if not name.startswith("_")} - modules
    assert public == set(package.__all__)


def test_every_module_can_be_imported_alone() -> None:
    for package in (applications, connectors, worker):
        for entry in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not entry.name.endswith("__main__"):
                importlib.import_module(entry.name)


@pytest.mark.parametrize("package", [applications], ids=lambda package: package.__name__)
def test_every_name_is_explained_shown_and_tested(package: object) -> None:
    pages = "\n".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    tests = "\n".join(test.read_text() for test in (ROOT / "tests").rglob("*.py") if test != Path(__file__))
    for where, text in (("docs", pages), ("tests", tests)):
        assert [name for name in package.__all__ if not re.search(rf"\b{name}\b", text)] == [], where
    assert [name for name in package.__all__ if not inspect.getdoc(getattr(package, name))] == []


Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(tree: ast.Module | ast.ClassDef, around: str = "") -> Iterator[tuple[str, Function, str]]:
    """Yield name, definition and documentation, a method's with that of its class."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, ast.get_docstring(node) or "")
        if isinstance(node, Function) and (not node.name.startswith("_") or node.name in {"__init__", "__post_init__"}):
            yield node.name, node, f"{around} {ast.get_docstring(node) or ''}"


def raised(function: Function) -> set[str]:
    """Return the errors that a function raises itself."""
    calls = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    made = any(isinstance(call.func, ast.Attribute) and call.func.attr == "unreadable" for call in calls)
    return (names | ({"ReplyUnreadable"} if made else set())) - {"AssertionError", "NotImplementedError", "type"}


@pytest.mark.parametrize("package", [applications], ids=lambda package: package.__name__)
def test_what_a_function_raises_itself_is_in_its_documentation(package: object) -> None:
    (folder,) = package.__path__
    seen = 0
    for path in Path(folder).rglob("*.py"):
        for name, function, said in public_functions(ast.parse(path.read_text())):
            for error in raised(function):
                seen += 1
                assert error in said or error[0].islower(), f"{path.name}: {name} raises {error} and does not say so"
    assert seen > 40


def test_one_file_knows_the_http_library() -> None:
    knowing = [
        path.relative_to(ROOT).as_posix()
        for package in ("applications", "connectors")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*(import|from) (httpx|aiohttp)", path.read_text(), re.MULTILINE)
    ]
    assert knowing == ["applications/http/wire.py"]


def test_applications_are_declared_without_an_http_library() -> None:
    code = "import sys, applications; print([name for name in ('httpx', 'aiohttp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
