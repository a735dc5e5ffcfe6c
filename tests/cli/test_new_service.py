"""`orchesty-worker new service`: what it writes is a package that works."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from support.command import command

from worker.cli import cli
from worker.errors import SkeletonError


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a service."""
    folder = tmp_path_factory.mktemp("services")
    done = CliRunner().invoke(cli, ["new", "service", "my-shop", "--folder", str(folder)])
    assert done.exit_code == 0, done.output
    return folder / "my-shop"


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_its_tests_pass_and_nothing_warns(service: Path) -> None:
    said = run(service, "pytest", "-q")
    assert "passed" in said
    assert "warning" not in said.lower()


def test_it_is_typed(service: Path) -> None:
    run(service, "mypy", "--strict", "my_shop", "tests")


def test_once_installed_its_actions_and_application_are_found(service: Path, tmp_path: Path) -> None:
    run(service, "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    for group, found in (("actions", "my-shop-get-item"), ("applications", "my-shop")):
        listed = command(group, "list", PYTHONPATH=str(tmp_path / "installed"))
        assert found in listed.stdout, listed.stderr


def test_it_joins_an_installation(service: Path) -> None:
    compose = yaml.safe_load((service / "compose.yaml").read_text())
    own = compose["services"]["my-shop"]
    assert own["environment"] == {
        "TENANT_ID": "docker",
        "CRYPT_SECRET": "${CRYPT_SECRET:?of the installation}",
        "ORCHESTY_API_KEY": "${ORCHESTY_API_KEY:?of the installation}",
    }
    assert compose["networks"][own["networks"][0]]["external"] is True
    image = (service / "Dockerfile").read_text()
    copied = [line.split()[1] for line in image.splitlines() if line.startswith("COPY")]
    assert all((service / name).exists() for name in copied)
    assert copied == ["pyproject.toml", "my_shop"]


def test_nothing_is_left_to_fill_in(service: Path) -> None:
    for path in service.rglob("*"):
        if path.is_file() and path.name != "compose.yaml" and "cache" not in str(path):
            assert "$" not in path.read_text(), path


def test_what_is_there_is_not_touched(service: Path) -> None:
    done = CliRunner().invoke(cli, ["new", "service", "my-shop", "--folder", str(service.parent)])
    assert isinstance(done.exception, SkeletonError)
    assert str(done.exception).startswith(f"{service} is there already, nothing is written.")
    for name in ("My Shop", "json", "worker"):
        refused = CliRunner().invoke(cli, ["new", "service", name, "--folder", str(service.parent)])
        assert isinstance(refused.exception, SkeletonError)
        assert not (service.parent / name).exists()
