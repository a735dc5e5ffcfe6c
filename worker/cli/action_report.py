"""What `orchesty-worker actions run` shows: requests, replies and the outcome, without secrets."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console

from connectors import Exponential, Forward, Limited, Message, Outcome, Page, Repeat, Stop, Trash
from worker.accounts.opening import UserAccess, open_accounts
from worker.actions.catalogue import applications_of
from worker.actions.registry import AnyAction
from worker.cli.printing import say, say_json, say_text
from worker.settings.settings import Settings
from worker.testing.action import ActionResult, run_action
from worker.testing.scrub import Scrubber
from worker.testing.transports import Exchange, network

SHOWN_ITEMS = 10
SHOWN_CHARACTERS = 2000


def run_and_show(
    settings: Settings, action: AnyAction, body: str, user: str | None, headers: Mapping[str, str], *, as_json: bool
) -> bool:
    """Run an action and show what happened; return whether the message goes on."""
    with Console(stderr=True).status(f"running {action.name}"):
        result = asyncio.run(_run(settings, action, body, user, headers))
    scrubber = _scrubber(result)
    if as_json:
        say_json(_facts(result, scrubber))
    else:
        _show(result, scrubber)
    return isinstance(result.outcome, Forward | Page | Stop)


async def _run(
    settings: Settings, action: AnyAction, body: str, user: str | None, headers: Mapping[str, str]
) -> ActionResult:
    if not any(application.needs_install() for application in applications_of([action])):
        return await run_action(action, body=body, user=user, headers=headers, http=network())
    accounts = open_accounts(settings).accounts
    try:
        access = UserAccess(accounts)
        return await run_action(action, body=body, user=user, headers=headers, http=network(), access=access)
    finally:
        await accounts.close()


def _scrubber(result: ActionResult) -> Scrubber:
    scrubber = Scrubber()
    for exchange in result.exchanges:
        scrubber.learn_exchange(exchange)
    return scrubber


def _facts(result: ActionResult, scrubber: Scrubber) -> dict[str, Any]:
    return {
        "outcome": _word(result.outcome),
        "reason": scrubber.text(result.reason),
        "afterSeconds": _after(result.outcome),
        "pages": len(result.outcomes) if isinstance(result.outcome, Page) else None,
        "messages": [_message(message, scrubber) for message in result.messages],
        "exchanges": [_exchange(exchange, scrubber) for exchange in result.exchanges],
    }


def _word(outcome: Outcome) -> str:
    return type(outcome).__name__.lower()


def _after(outcome: Outcome) -> float | None:
    """Return how long the message would wait; for a time left to chance, the longest."""
    after = outcome.after if isinstance(outcome, Repeat | Limited) else None
    if isinstance(after, Exponential):
        after = after.after(1, lambda _, longest: longest)
    return None if after is None else after.total_seconds()


def _message(message: Message[Any], scrubber: Scrubber) -> dict[str, Any]:
    body: Any = scrubber.text(message.body)
    with suppress(ValueError):
        body = scrubber.data(json.loads(message.body))
    return {"headers": scrubber.data(dict(message.headers)), "body": body}


def _exchange(exchange: Exchange, scrubber: Scrubber) -> dict[str, Any]:
    request, reply = exchange.request, exchange.reply
    return {
        "method": request.method,
        "url": scrubber.url(request.url),
        "headers": dict(scrubber.headers(request.headers)),
        "body": plain(scrubber.body(request)),
        "status": reply.status if reply is not None else None,
        "replyHeaders": dict(scrubber.headers(reply.headers)) if reply is not None else {},
        "reply": plain(scrubber.body(reply)) if reply is not None else None,
        "error": scrubber.text(exchange.error),
    }


def plain(body: Any) -> Any:
    """Return a scrubbed body as it is shown: JSON data, text, or the base64 text of bytes."""
    return next(iter(body.values())) if isinstance(body, dict) else body


def _show(result: ActionResult, scrubber: Scrubber) -> None:
    for exchange in result.exchanges:
        facts = _exchange(exchange, scrubber)
        say(f"{facts['method']} {facts['url']}", bold=True)
        _show_part(facts["headers"], facts["body"])
        status = facts["status"] if facts["status"] is not None else f"no reply: {facts['error']}"
        say(f"→ {status}", bold=True)
        _show_part(facts["replyHeaders"], facts["reply"])
    _show_outcome(result, scrubber)


def _show_part(headers: dict[str, str], body: Any) -> None:
    for name, value in headers.items():
        say(f"  {name}: {value}", dim=True)
    if body not in ("", None):
        say_text(_shortened(body), indent="  ")
    say()


def _shortened(body: Any) -> str:
    text = body if isinstance(body, str) else json.dumps(body, indent=1, ensure_ascii=False)
    left = len(text) - SHOWN_CHARACTERS
    return text if left <= 0 else f"{text[:SHOWN_CHARACTERS]}\n... {left:,} characters more; --json shows all"


def _show_outcome(result: ActionResult, scrubber: Scrubber) -> None:
    outcome, after = result.outcome, _after(result.outcome)
    words = [_word(outcome)]
    if after is not None:
        words.append(f"after {after:g} s")
    if result.reason:
        words.append(scrubber.text(result.reason))
    if isinstance(outcome, Page):
        words.append(f"{len(result.messages)} items on {len(result.outcomes)} pages")
    say(": ".join(words), bold=True, is_bad=isinstance(outcome, Trash))
    for message in result.messages[:SHOWN_ITEMS]:
        say_text(_shortened(_message(message, scrubber)["body"]), indent="  ")
    if len(result.messages) > SHOWN_ITEMS:
        say(f"... {len(result.messages) - SHOWN_ITEMS:,} more; --json shows all")
