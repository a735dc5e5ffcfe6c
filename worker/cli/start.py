"""`orchesty-worker start`."""

import click


@click.command()
def start() -> None:
    """Start a process."""
