"""`orchesty-worker limits`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from worker.cli.options import json_option
from worker.cli.printing import Listing, say, say_json, say_table
from worker.errors import LimitsAway, SettingsError
from worker.limits.opening import open_shared
from worker.limits.reservations import LimitState, Reservations
from worker.settings.settings import Settings, load_settings

redis_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--redis-url", help="The Redis that keeps the limits.  [env: WORKER_REDIS_URL]"
)


@click.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker limits list
  orchesty-worker limits list --json | jq '.[] | select(.waiting > 1000)'
""",
)
@json_option
@redis_option
def list_(*, as_json: bool, redis_url: str | None) -> None:
    """List the limits used in the last day: calls in the window, waiting messages, time of the next call."""
    _show(asyncio.run(_states(load_settings(redis_url=redis_url))), as_json=as_json)


@click.command(epilog="\b\nExample:\n  orchesty-worker limits show 'alice|hubspot'\n")
@click.argument("key")
@json_option
@redis_option
def show(key: str, *, as_json: bool, redis_url: str | None) -> None:
    """Show the limits of KEY: user|application, or |application for the limit that all users share."""
    found = asyncio.run(_states(load_settings(redis_url=redis_url), key))
    if not found:
        raise click.ClickException(f"{key}: not used in the last day. See: orchesty-worker limits list")
    _show(found, as_json=as_json)


@click.command(epilog="\b\nExample:\n  orchesty-worker limits reset 'alice|hubspot'\n")
@click.argument("key")
@redis_option
def reset(key: str, *, redis_url: str | None) -> None:
    """Forget the calls of KEY, what the service said about it, and that Redis may have lost calls.

    The next calls can be made at once, so the service may get twice its amount in the current window.
    """
    count = asyncio.run(_reset(load_settings(redis_url=redis_url), key))
    if not count:
        raise click.ClickException(f"{key}: not used in the last day. See: orchesty-worker limits list")
    say(f"{count} limit{'s' if count > 1 else ''} of {key} reset")


async def _states(settings: Settings, key: str | None = None) -> Sequence[LimitState]:
    async with _opened(settings) as store:
        return sorted(await store.states(key), key=lambda state: (state.limit.application, state.limit.key))


async def _reset(settings: Settings, key: str) -> int:
    async with _opened(settings) as store:
        return await store.reset(key)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Reservations]:
    if settings.redis_url is None:
        raise SettingsError("no Redis: limits of a worker without one are in its process only. Set WORKER_REDIS_URL.")
    store = open_shared(
        settings.redis_url.get_secret_value(),
        guard_seconds=settings.limit_guard,
        recovery_seconds=settings.limit_recovery,
    )
    try:
        yield store
    except LimitsAway as away:
        raise click.ClickException(
            f"Redis cannot be used: {str(away).rstrip('.')}. Is WORKER_REDIS_URL right?"
        ) from None
    finally:
        await store.close()


def _show(states: Sequence[LimitState], *, as_json: bool) -> None:
    if as_json:
        say_json([_document(state) for state in states])
    elif not states:
        say("No limit was used in the last day.")
    else:
        say_table(_table(states))


def _document(state: LimitState) -> dict[str, Any]:
    return {
        "key": state.limit.key,
        "seconds": state.limit.seconds,
        "amount": state.limit.amount,
        "amountNow": state.amount_now,
        "used": state.used,
        "waiting": state.waiting,
        "nextSeconds": round(state.next_seconds, 3),
    }


def _table(states: Sequence[LimitState]) -> Table:
    table = Listing("key")
    for column in ("limit", "used", "waiting", "next call"):
        table.add_column(column, justify="right")
    for state in states:
        limit = state.limit
        halved = f" (now {state.amount_now})" if state.amount_now != limit.amount else ""
        next_call = f"in {state.next_seconds:.1f} s" if state.next_seconds > 0 else "now"
        table.add_row(
            Text(limit.key),
            f"{limit.amount}{halved} per {limit.seconds} s",
            str(state.used),
            f"{state.waiting:,}",
            next_call,
        )
    return table
