"""`orchesty-worker new`."""

from importlib.util import find_spec
from pathlib import Path

import click

from worker.cli.options import Decorator
from worker.cli.printing import say
from worker.cli.skeletons import Names, write_service, write_skeleton

EXAMPLE_DATA = {"connector": """ --data '{"id": 17}'""", "batch": "", "node": """ --data '{"name": "Ann"}'"""}

folder_option: Decorator = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to write.  [default: the current folder]",
)
application_option: Decorator = click.option(
    "--application", metavar="NAME", help="The application that `new application` wrote."
)


@click.command(epilog="\b\nExample:\n  orchesty-worker new application shop\n")
@click.argument("name")
@folder_option
def application(name: str, folder: Path) -> None:
    """Write an application: what all endpoints of a service share."""
    _write("application", name, folder)
    _say_next(folder, name, f"orchesty-worker new connector {name}-get-item --application {name}")


@click.command(epilog="\b\nExample:\n  orchesty-worker new connector shop-get-order --application shop\n")
@click.argument("name")
@application_option
@folder_option
def connector(name: str, application: str | None, folder: Path) -> None:
    """Write a connector: one endpoint of a service."""
    _write_action("connector", name, folder, application)


@click.command(epilog="\b\nExample:\n  orchesty-worker new batch shop-list-orders --application shop\n")
@click.argument("name")
@application_option
@folder_option
def batch(name: str, application: str | None, folder: Path) -> None:
    """Write a batch: it turns one message into many, page by page."""
    _write_action("batch", name, folder, application)


@click.command(epilog="\b\nExample:\n  orchesty-worker new node add-vat\n")
@click.argument("name")
@folder_option
def node(name: str, folder: Path) -> None:
    """Write a custom node: it transforms, filters or routes messages."""
    _write_action("node", name, folder)


@click.command(epilog="\b\nExample:\n  orchesty-worker new service shop\n")
@click.argument("name")
@folder_option
def service(name: str, folder: Path) -> None:
    """Write a service for an Orchesty installation: a package with an application, a connector and its tests.

    Also a Dockerfile, a compose file that joins an installation, and rules for coding assistants.
    """
    for path in write_service(name, folder):
        say(f"written: {path}")
    say("next:")
    say(f"  cd {folder / name}")
    say("  pip install -e '.[testing]'")
    say("  pytest")
    say("  orchesty-worker actions list")


def _write_action(kind: str, name: str, folder: Path, application: str | None = None) -> None:
    _write(kind, name, folder, application)
    _say_next(folder, name, f"orchesty-worker actions run {name} --actions {Names(name).module}{EXAMPLE_DATA[kind]}")


def _write(kind: str, name: str, folder: Path, application: str | None = None) -> None:
    for path in write_skeleton(kind, name, folder, application):
        say(f"written: {path}")


def _say_next(folder: Path, name: str, then: str) -> None:
    say("next:")
    if find_spec("pytest_asyncio") is None:
        say("  pip install 'orchesty-worker[testing]'")
    if folder != Path():
        say(f"  cd {folder}")
    say(f"  pytest test_{Names(name).module}.py")
    say(f"  {then}")
