"""How our database keeps what is secret of an install: each value sealed with a key of ours, bound to its place."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from applications.crypt import Keyring
from applications.forms import Values
from applications.install import TOKEN_PLACE
from applications.token import Token

SealedSettings = Mapping[str, Mapping[str, str]]
"""By form and field."""


@dataclass(frozen=True, slots=True)
class SealedFields:
    """Settings and token of one install."""

    keyring: Keyring = field(repr=False, compare=False)
    place: tuple[str, ...]
    by_form: SealedSettings = field(repr=False)
    sealed_token: str | None = field(repr=False)

    @property
    def fields(self) -> Mapping[str, Sequence[str]]:
        """The names of the settings, by form."""
        return {form: sorted(fields) for form, fields in self.by_form.items()}

    @property
    def has_token(self) -> bool:
        """Whether a login has brought one."""
        return self.sealed_token is not None

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the settings, opened. Raises `SecretsError`."""
        return {
            form: {key: json.loads(self.keyring.open(value, *self.place, form, key)) for key, value in fields.items()}
            for form, fields in self.by_form.items()
        }

    def token(self) -> Token | None:
        """Return the token, opened. Raises `SecretsError`."""
        if self.sealed_token is None:
            return None
        return Token.from_json(self.keyring.open(self.sealed_token, *self.place, TOKEN_PLACE))

    @property
    def has_newest_settings(self) -> bool:
        """Whether the newest key has sealed all settings."""
        return all(self.keyring.is_newest(value) for fields in self.by_form.values() for value in fields.values())

    @property
    def has_newest_token(self) -> bool:
        """Whether the newest key has sealed the token, if there is one."""
        return self.sealed_token is None or self.keyring.is_newest(self.sealed_token)


def seal(keyring: Keyring, place: tuple[str, ...], settings: Values) -> SealedSettings:
    """Return settings, sealed with the newest key. Raises `KeyMissing`."""
    return {
        form: {key: keyring.seal(json.dumps(value).encode(), *place, form, key) for key, value in fields.items()}
        for form, fields in settings.items()
    }
