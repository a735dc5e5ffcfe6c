"""What is built for others works without this repository."""

import os
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the wheel, as it lies in site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def run(installed: Path, folder: Path, code: str, *arguments: str) -> str:
    """Run code with the wheel and our dependencies, but without the editable install: `-S` reads no `.pth` files."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKER_")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": os.pathsep.join([str(installed), *site.getsitepackages()])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_packages_can_be_imported(installed: Path, tmp_path: Path) -> None:
    names = ("worker.cli", "worker.testing", "connectors", "applications", "orchesty_worker", "orchesty_worker_pytest")
    code = f"import sys, {', '.join(names)}; print(*[sys.modules[name].__file__ for name in {names}], sep='\\n')"
    found = [Path(line) for line in run(installed, tmp_path, code).splitlines()]
    assert len(found) == len(names)
    assert [path for path in found if not path.is_relative_to(installed)] == []


def test_skeletons_and_migrations_are_in_it(installed: Path, tmp_path: Path) -> None:
    command = "import sys, orchesty_worker; sys.exit(orchesty_worker.main())"
    said = run(installed, tmp_path, command, "new", "node", "greet")
    assert "written: greet.py" in said
    run(installed, tmp_path, command, "trash", "list")
