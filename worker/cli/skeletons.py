"""Skeletons of services, applications and actions, each with its test, for `orchesty-worker new`."""

import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from worker.errors import SkeletonError

KINDS = ("application", "connector", "batch", "node")

_PYTEST_SETTINGS = ("pytest.toml", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Names:
    """What a name becomes where it stands in code: `get-order`, `get_order`, `GetOrder`."""

    name: str

    @property
    def module(self) -> str:
        """The module."""
        return self.name.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class."""
        return "".join(part.capitalize() for part in self.name.split("-"))


def write_skeleton(kind: str, name: str, folder: Path, application: str | None = None) -> list[Path]:
    """Write the module and its test into the folder, and return the paths of what is written.

    A folder without settings for pytest gets those that asynchronous tests need.

    Raises `SkeletonError` for a name that cannot be, an application that is not there, and files that are.
    """
    names = Names(_checked(name))
    shared = _application(folder, application) if application else None
    paths = [folder / f"{names.module}.py", folder / f"test_{names.module}.py"]
    if there := [str(path) for path in paths if path.exists()]:
        raise SkeletonError(
            f"{', '.join(there)} is there already, nothing is written. Choose another name or --folder."
        )
    _check_module(names.module)
    values = _values(names, shared)
    folder.mkdir(parents=True, exist_ok=True)
    for path, template in zip(paths, (f"{kind}.py.txt", f"test_{kind}.py.txt"), strict=True):
        path.write_text(_template(template).substitute(values), encoding="utf-8")
    if any((folder / name).exists() for name in _PYTEST_SETTINGS):
        return paths
    settings = folder / "pytest.ini"
    settings.write_text(_template("pytest.ini.txt").template, encoding="utf-8")
    return [*paths, settings]


SERVICE_FILES = (
    "pyproject.toml",
    "README.md",
    "AGENTS.md",
    "Dockerfile",
    "compose.yaml",
    "package/__init__.py",
    "package/application.py",
    "package/get_item.py",
    "tests/test_get_item.py",
)
"""Of a service; its package has a name of its own."""


def write_service(name: str, folder: Path) -> list[Path]:
    """Write a service into a folder of its name in this one, and return the paths of what is written.

    Raises `SkeletonError` for a name that cannot be, and when there is something by that name.
    """
    names = Names(_checked(name))
    home = folder / name
    if home.exists():
        raise SkeletonError(f"{home} is there already, nothing is written. Choose another name or --folder.")
    _check_module(names.module)
    values, written = _values(names, None), []
    for file in SERVICE_FILES:
        path = home / file.replace("package/", f"{names.module}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_template(f"service/{file}.txt").substitute(values), encoding="utf-8")
        written.append(path)
    return written


def _template(name: str) -> Template:
    return Template(files("worker").joinpath("templates", name).read_text(encoding="utf-8"))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SkeletonError(f"{name!r} is not a name: use small letters, digits and dashes, as in get-order.")
    return name


def _check_module(module: str) -> None:
    """A module that hides another one breaks what imports that."""
    is_taken = module in sys.stdlib_module_names or keyword.iskeyword(module) or find_spec(module) is not None
    if is_taken:
        raise SkeletonError(
            f"Python has a module or word {module} already. Choose another name, as in my-{module.replace('_', '-')}."
        )


def _application(folder: Path, application: str) -> Names:
    names = Names(_checked(application))
    path = folder / f"{names.module}.py"
    if not path.exists() or f"class {names.class_name}(" not in path.read_text(encoding="utf-8"):
        raise SkeletonError(
            f"{path} with the class {names.class_name} is not there. "
            f"Write it first: orchesty-worker new application {application}"
        )
    return names


def _values(names: Names, application: Names | None) -> Mapping[str, str]:
    shared, imports, line, base = "", "", "", "https://service.example/api"
    if application is not None:
        shared = application.class_name
        imports = f"from {application.module} import {application.class_name}\n"
        line, base = f"    application = {application.class_name}\n", ""
    return {
        "name": names.name,
        "module": names.module,
        "Class": names.class_name,
        "title": names.name.replace("-", " ").capitalize(),
        "application": shared,
        "application_import": imports,
        "application_line": line,
        "base": base,
    }
