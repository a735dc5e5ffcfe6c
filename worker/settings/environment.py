"""Variables of the environment that look like settings and are none: mostly misspelt ones."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import AliasChoices, SecretStr

from worker.settings.settings import Settings, environment_names

PREFIX = "WORKER_"
OTHERS = frozenset({"WORKER_TEST_AMQP_URL"})
"""Read by the tests, and left in the environment by them."""

_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_|$)")
"""What Kubernetes sets for each service; one may be named worker-something."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable that nothing reads."""

    name: str
    closest: str | None
    """The setting with the most similar name."""


def known_names() -> frozenset[str]:
    """Return all names that settings are read from."""
    names = set(OTHERS)
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names |= (
            {str(choice) for choice in alias.choices} if isinstance(alias, AliasChoices) else {PREFIX + name.upper()}
        )
    return frozenset(names)


def unknown_variables(environment: Mapping[str, str]) -> Iterator[Unknown]:
    """Find the `WORKER_*` variables that no setting has."""
    known = known_names()
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _SERVICE_LINK.search(name):
            close = get_close_matches(name.upper(), known, n=1)
            yield Unknown(name, close[0] if close else None)


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that give another process the same settings."""
    names = environment_names()
    return {names[name]: _text(getattr(settings, name)) for name in sorted(settings.model_fields_set)}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(value) if isinstance(value, tuple) else str(value)
