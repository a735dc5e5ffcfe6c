"""`orchesty-worker settings`."""

import click

from worker.settings.page import settings_page


@click.command(epilog="\b\nExample:\n  orchesty-worker settings > settings.md\n")
def settings() -> None:
    """Print what can be set, as a page of Markdown (docs/settings.md)."""
    click.echo(settings_page(), nl=False)
