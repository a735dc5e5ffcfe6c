"""What users import is what `__all__` says, and each name is explained, shown and tested."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import applications
import connectors
import worker
import worker.testing

ROOT = Path(__file__).parent.parent.parent


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
    public = {name for name in dir(package) if not name.startswith("_")} - modules
    assert public == set(package.__all__)


def test_every_module_can_be_imported_alone() -> None:
    for package in (applications, connectors, worker):
        for entry in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not entry.name.endswith("__main__"):
                importlib.import_module(entry.name)


EXPLAINED = [applications, connectors, worker, worker.testing]


def names_of(packages: list[ModuleType]) -> list[tuple[ModuleType, str]]:
    return [(package, name) for package in packages for name in package.__all__]


each_name = pytest.mark.parametrize(
    ("package", "name"),
    names_of(EXPLAINED),
    ids=[f"{package.__name__}.{name}" for package, name in names_of(EXPLAINED)],
)


@each_name
def test_a_name_has_a_docstring_of_its_own(package: ModuleType, name: str) -> None:
    value = getattr(package, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    else:
        text = texts_of_values(package).get(name)
    assert text, f"{name} has no docstring"
    assert not text.startswith(f"{name}("), f"{name} has only the docstring that dataclass makes"


@each_name
def test_a_name_stands_on_a_page(package: ModuleType, name: str) -> None:
    assert is_named(name, shown_on_pages()), f"{name} is in no Python snippet and no `code` of docs/ or README.md"


@each_name
def test_a_name_is_used_in_a_test(package: ModuleType, name: str) -> None:
    assert is_named(name, text_of_tests()), f"{name} is in no test"


def is_named(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){name}\b", text) is not None


@cache
def texts_of_values(package: ModuleType) -> dict[str, str]:
    """The docstrings below assignments, as `Outcome = ...` has one."""
    found_modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    modules = [entry for entry in found_modules if not entry.ispkg and not entry.name.endswith("__main__")]
    found: dict[str, str] = {}
    for entry in modules:
        source = inspect.getsource(importlib.import_module(entry.name))
        found.update(_texts(ast.parse(source)))
    return found


def _texts(module: ast.Module) -> Iterator[tuple[str, str]]:
    for statement, following in zip(module.body, module.body[1:], strict=False):
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        else:
            continue
        match following:
            case ast.Expr(ast.Constant(str(text))) if isinstance(target, ast.Name):
                yield target.id, text


@cache
def shown_on_pages() -> str:
    """The Python snippets and the `code` of all pages; words of a sentence are no mention."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text() for page in pages)
    snippets = re.findall(r"```python.*?\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join(snippets + spans)


@cache
def text_of_tests() -> str:
    own = Path(__file__)
    return "\n".join(path.read_text() for path in sorted(own.parent.parent.rglob("*.py")) if path != own)


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


@pytest.mark.parametrize("package", [applications, connectors, worker.testing], ids=lambda package: package.__name__)
def test_what_a_function_raises_itself_is_in_its_documentation(package: object) -> None:
    (folder,) = package.__path__
    seen = 0
    for path in Path(folder).rglob("*.py"):
        for name, function, said in public_functions(ast.parse(path.read_text())):
            for error in raised(function):
                seen += 1
                is_told = error in said or error.lstrip("_")[0].islower()
                assert is_told, f"{path.name}: {name} raises {error} and does not say so"
    assert seen


NUMBER = re.compile(r"(int|float)( \| None)?")
UNIT = re.compile(r"(.*_)?(seconds|bytes)")


def unexplained_fields(definition: ast.ClassDef) -> Iterator[str]:
    """Yield the numbers of a class of which neither a docstring below nor that of the class says what they count."""
    said = ast.get_docstring(definition) or ""
    for field, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and NUMBER.fullmatch(ast.unparse(field.annotation)):
            name = ast.unparse(field.target)
            is_told = isinstance(following, ast.Expr) or f"`{name}`" in said or name.startswith("_")
            if not is_told:
                yield name


def unexplained_arguments(function: Function, said: str) -> Iterator[str]:
    """Yield the numbers that a function takes which its documentation does not name, and whose names have no unit."""
    for argument in [*function.args.args, *function.args.kwonlyargs]:
        is_number = argument.annotation is not None and NUMBER.fullmatch(ast.unparse(argument.annotation))
        if is_number and not UNIT.fullmatch(argument.arg) and f"`{argument.arg}`" not in said:
            yield argument.arg


def overridden(value: object, function: str) -> str:
    """Return what the classes above say of a method."""
    above = value.__mro__[1:] if isinstance(value, type) else ()
    return " ".join(str(vars(one)[function].__doc__) for one in above if function in vars(one))


@pytest.mark.parametrize("package", [applications, connectors, worker.testing], ids=lambda package: package.__name__)
def test_a_number_says_what_it_counts(package: ModuleType) -> None:
    seen = 0
    for name in package.__all__:
        value = getattr(package, name)
        if not inspect.isclass(value) and not inspect.isfunction(value):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
        for definition in tree.body:
            seen += 1
            assert not isinstance(definition, ast.ClassDef) or list(unexplained_fields(definition)) == [], name
        for function, node, said in public_functions(tree):
            all_said = said + overridden(value, function)
            assert list(unexplained_arguments(node, all_said)) == [], f"{name}.{function}"
    assert seen > 10


def test_two_files_know_the_http_libraries() -> None:
    knowing = [
        path.relative_to(ROOT).as_posix()
        for package in ("applications", "connectors", "worker/testing")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*(import|from) (httpx|aiohttp)", path.read_text(), re.MULTILINE)
    ]
    assert sorted(knowing) == ["applications/http/connections.py", "applications/http/wire.py"]


def test_authors_meet_no_name_of_the_http_library() -> None:
    taught = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "worker" / "templates").rglob("*.txt")]
    written = [path.name for path in taught if re.search(r"httpx\.|aiohttp\.|import (httpx|aiohttp)", path.read_text())]
    assert written == []


def test_applications_are_declared_without_an_http_library() -> None:
    code = "import sys, applications; print([name for name in ('httpx', 'aiohttp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
