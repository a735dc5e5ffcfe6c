"""The secrets of the installs that an action uses: known while it runs, so that no reason and no log line shows one."""

import re
from collections.abc import Collection, Iterable
from contextvars import ContextVar
from dataclasses import replace

from applications.redaction import redact
from connectors.outcome import Outcome

Known = dict[str, Collection[str]]
"""By application. The collections are those of the installs: a token that is renewed meanwhile is in them as well."""

current_secrets: ContextVar[Known | None] = ContextVar("current_secrets", default=None)
"""What the action in work has used; tasks that it starts share it. Log lines are redacted by it, and whoever writes one
does not know whose secrets are in it."""


_own: set[str] = set()


def keep_own(secrets: Iterable[str]) -> None:
    """Keep secrets of the worker itself out of all that people read, as long as the process lives."""
    _own.update(secrets)


def known_secrets() -> frozenset[str]:
    """Return the secrets that the action in work has used, and those of the worker itself."""
    known = current_secrets.get()
    return frozenset(_own).union(*map(tuple, known.values()) if known else ())


def without_secrets(text: str) -> str:
    """Return the text without them."""
    return redact(text, known_secrets())


def remember(application: str, secrets: Collection[str]) -> None:
    """Keep these secrets out of what people read about the action in work."""
    known = current_secrets.get()
    if known is not None and secrets:
        known[application] = secrets


def without_known(outcome: Outcome) -> Outcome:
    """Return the outcome with a reason that shows no secret."""
    if outcome.reason:
        return replace(outcome, reason=without_secrets(outcome.reason))
    return outcome


_SECRET_NAME = re.compile(
    r"authorization|cookie|secret|passw|pwd|api[-_]?key|access[-_]?key|private[-_]?key|credential|signature|session"
    r"|token|jwt|x-.*-auth",
    re.IGNORECASE,
)
_INNOCENT_NAME = re.compile(r"(page|next|previous|sync|continuation|cursor)[-_]?token|token[-_]?type", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a header, parameter or member of this name holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not _INNOCENT_NAME.search(name)
