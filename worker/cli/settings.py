"""`orchesty-worker settings`."""

import click

from worker.cli.printing import say_text
from worker.settings.page import settings_page


@click.command(epilog="\b\nExample:\n  orchesty-worker settings > settings.md\n")
def settings() -> None:
    """Print all settings as a page of Markdown (docs/settings.md)."""
    say_text(settings_page().rstrip())
