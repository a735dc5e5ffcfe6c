"""Settings and token of an install as the platform's services keep them: one encrypted value for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from applications.errors import SecretsError
from applications.forms import LIMITER_FORM, Values
from applications.token import Token

TOKEN_FORM: Final = "authorization_form"  # noqa: S105 - the name of a form
TOKEN_FIELD: Final = "token"  # noqa: S105 - the name of a field
_NODE: Final = ("accessToken", "refreshToken", "tokenType")
_PHP: Final = ("access_token", "refresh_token", "token_type")
"""What each SDK calls access token, refresh token and their type."""
_JAVASCRIPT_DATE: Final = "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"
_MILLISECONDS_FROM: Final = 10**11
"""A number of seconds is smaller for the next three thousand years."""

_LONGEST_NUMBER: Final = 15


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """What an install's document holds, opened; or why it does not open."""

    content: Mapping[str, Mapping[str, Any]] = field(repr=False)
    error: SecretsError | None = None

    @property
    def fields(self) -> Mapping[str, Sequence[str]]:
        """The names of the settings, by form."""
        return {form: sorted(fields) for form, fields in self.settings().items()}

    @property
    def has_token(self) -> bool:
        """Whether a login has brought one."""
        return self.token() is not None

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the settings without the token. Raises `SecretsError`."""
        if self.error is not None:
            raise self.error
        forms = {form: dict(fields) for form, fields in self.content.items()}
        if self._held is not None:
            del forms[TOKEN_FORM][TOKEN_FIELD]
        if LIMITER_FORM in forms:
            forms[LIMITER_FORM] = {name: _typed(value) for name, value in forms[LIMITER_FORM].items()}
        return {form: fields for form, fields in forms.items() if fields}

    def token(self) -> Token | None:
        """Return the token, if there is one. Raises `SecretsError`."""
        if self.error is not None:
            raise self.error
        return read_token(self._held)

    @property
    def _held(self) -> Mapping[str, Any] | None:
        """The token as it is written; a form may have a field of that name, which is a text."""
        held = self.content.get(TOKEN_FORM, {}).get(TOKEN_FIELD)
        return held if isinstance(held, Mapping) else None

    def having(self, settings: Values, *, keeps_token: bool) -> dict[str, dict[str, Any]]:
        """Return the content with these settings in place of its own."""
        forms = {form: dict(fields) for form, fields in settings.items()}
        if keeps_token and self._held is not None:
            forms.setdefault(TOKEN_FORM, {})[TOKEN_FIELD] = self._held
        return forms

    def with_token(self, token: Token) -> dict[str, dict[str, Any]]:
        """Return the content with this token in place of its own; all else stays as it is."""
        forms = {form: dict(fields) for form, fields in self.content.items()}
        form = forms.setdefault(TOKEN_FORM, {})
        form[TOKEN_FIELD] = written_token(token, self._held)
        return forms


def shared(content: Any) -> SharedSettings:
    """Return what was decrypted, as far as it is forms with fields; PHP's empty array is an empty form."""
    forms = content if isinstance(content, Mapping) else {}
    return SharedSettings({form: fields if isinstance(fields, Mapping) else {} for form, fields in forms.items()})


def read_token(held: Any) -> Token | None:
    """Return the token that an SDK has written; None for none."""
    if not isinstance(held, Mapping):
        return None
    access, refresh, kind = _PHP if _PHP[0] in held else _NODE
    if not held.get(access):
        return None
    extra = held.get("others")
    others = dict(extra) if isinstance(extra, Mapping) else {}
    if held.get(kind):
        others["token_type"] = held[kind]
    expires = _seconds(held.get("expires"))
    life = _seconds(others.get("expires_in"))
    obtained = expires - life if expires and life else 0.0
    return Token(str(held[access]), str(held[refresh]) if held.get(refresh) else None, obtained, expires, others)


def written_token(token: Token, before: Any) -> dict[str, Any]:
    """Return a token as the SDK writes it that has written the one `before`; Node.js, if there is none."""
    access, refresh, kind = _PHP if isinstance(before, Mapping) and _PHP[0] in before else _NODE
    others = {name: value for name, value in token.others.items() if name != "token_type"}
    written = {access: token.access_token, kind: token.others.get("token_type", ""), "others": others}
    written["expires"] = _expiry(token.expires, as_number=access == _PHP[0])
    return written | ({refresh: token.refresh_token} if token.refresh_token else {})


def _expiry(expires: float | None, *, as_number: bool) -> str | int:
    if expires is None:
        return ""
    return int(expires) if as_number else datetime.fromtimestamp(int(expires), UTC).strftime(_JAVASCRIPT_DATE)


def _seconds(value: Any) -> float | None:
    """Return a time that an SDK has written: a number, a text of JavaScript's or of ISO 8601."""
    if isinstance(value, bool) or value in (None, ""):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return _of_text(str(value))
    seconds = number / 1000 if number > _MILLISECONDS_FROM else number
    return seconds if abs(seconds) <= _MILLISECONDS_FROM else None


def _of_text(text: str) -> float | None:
    for read in (datetime.fromisoformat, _of_javascript, parsedate_to_datetime):
        try:
            found = read(text)
        except (ValueError, TypeError, OverflowError):
            continue
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return None


def _of_javascript(text: str) -> datetime:
    return datetime.strptime(text.partition(" (")[0], "%a %b %d %Y %H:%M:%S GMT%z")


def _typed(value: Any) -> Any:
    """Return a value of the limiter form; the editor of 3.0 sends all as text."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= _LONGEST_NUMBER else value
