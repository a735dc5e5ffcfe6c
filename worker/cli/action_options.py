"""What the commands about actions share."""

from difflib import get_close_matches

import click
from rich.console import Console

from connectors.kind import Kind
from worker.actions.registry import AnyAction, Registry, load_actions
from worker.cli.options import Decorator
from worker.settings.settings import load_settings

actions_option: Decorator = click.option(
    "--actions", multiple=True, help="Module or package with actions; may be repeated.  [env: WORKER_ACTIONS]"
)
kind_option: Decorator = click.option(
    "--kind", type=click.Choice([kind.value for kind in Kind]), help="If several kinds have the name."
)


def load(modules: tuple[str, ...]) -> Registry:
    """Import the actions. Raises `ActionsError`."""
    settings = load_settings(actions=modules or None)
    with Console(stderr=True).status("importing actions"):
        return load_actions(settings.actions)


def find_action(registry: Registry, name: str, kind: str | None) -> AnyAction:
    """Return the action of this name; wrong usage when there is none, or several."""
    found = [action for action in registry if action.name == name and kind in {None, action.kind.value}]
    if len(found) > 1:
        raise click.UsageError(f"{name} is of several kinds, choose with --kind: {', '.join(a.kind for a in found)}")
    if not found:
        close = get_close_matches(name, [action.name for action in registry], n=1)
        raise click.UsageError(
            f"there is no action {name!r}"
            + (f", did you mean {close[0]!r}?" if close else ".")
            + " See: orchesty-worker actions list"
        )
    return found[0]
