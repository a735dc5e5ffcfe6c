"""The database of the commands, and what is said when it is away."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import click

from worker.cli.options import Decorator
from worker.errors import StoreError
from worker.modes.opening import open_mode
from worker.runs.run import Run
from worker.runs.search import get_runs
from worker.runs.store import RunStore
from worker.settings.settings import Settings, load_settings
from worker.urls import shown_url

database_option: Decorator = click.option(
    "--database-url", help="sqlite:///path or postgresql://...  [env: WORKER_DATABASE_URL]"
)


@contextmanager
def opened(database_url: str | None) -> Iterator[RunStore]:
    """Open the database. Raises a `ClickException` that names the cure when it is away."""
    settings = load_settings(database_url=database_url)
    if not open_mode(settings).shows_runs:
        raise click.UsageError(
            "processes are counted in standalone mode only; in platform mode see the platform's pages"
        )
    with opened_by(settings) as store:
        yield store


@contextmanager
def opened_by(settings: Settings) -> Iterator[RunStore]:
    """Open the database of these settings."""
    with closing(RunStore(settings.process_address)) as store:
        try:
            yield store
        except (StoreError, OSError) as error:
            raise click.ClickException(
                f"{shown_url(settings.process_address)}: {error}. Is WORKER_DATABASE_URL right?"
            ) from None


def found(store: RunStore, reference: str) -> Run:
    """Return the run, with its nodes. Raises a `ClickException` when there is none, or more than one."""
    runs = get_runs(store, reference)
    if len(runs) == 1:
        return runs[0]
    problem = "more than one process begins like this" if runs else "no such process"
    raise click.ClickException(f"{reference}: {problem}. See: orchesty-worker processes list")
