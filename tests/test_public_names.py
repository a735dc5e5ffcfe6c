"""What users import is what `__all__` says."""

import importlib
import pkgutil

import pytest

import applications
import connectors
import worker
import worker.testing


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
