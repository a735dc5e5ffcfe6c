"""Hiding secrets in texts that people read: URLs, reasons, log lines."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

from applications.errors import LoginDead, LoginRefused, TokenEndpointAway

HIDDEN: Final = "[hidden]"
SHORTEST: Final = 4
"""A shorter value stays: it would hide innocent text, and who guesses does not need ours."""

_SHOWN: Final = 300


def redact(text: str, secrets: Collection[str]) -> str:
    """Return the text without these secrets, also where they stand encoded as in URLs or JSON."""
    if not secrets:
        return text
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            for form in _forms(secret):
                text = text.replace(form, HIDDEN)
    return text


@lru_cache(1024)
def _forms(secret: str) -> frozenset[str]:
    """Return the secret as it stands in texts, in URLs and in JSON; asked for with each log line."""
    return frozenset({secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]})


@contextmanager
def redacted_errors(secrets: Collection[str]) -> Iterator[None]:
    """Keep secrets out of `LoginDead`, `LoginRefused` and `TokenEndpointAway`: URLs and answers may hold them.

    What a service says at length is cut after that, so that no half of a secret is left.
    """
    try:
        yield
    except TokenEndpointAway as error:
        shown = redact(str(error), secrets)[:_SHOWN]
        raise TokenEndpointAway(shown, error.after, is_refusal=error.is_refusal) from None
    except (LoginDead, LoginRefused) as error:
        raise type(error)(redact(str(error), secrets)[:_SHOWN]) from None
