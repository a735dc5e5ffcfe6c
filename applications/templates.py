"""Placeholders: `{shop}` in a base URL or header is the setting `shop` of the user's install."""

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{([^{}]+)\}")


def placeholders(template: str) -> list[str]:
    """Return the settings that a text asks for."""
    return _PLACE.findall(template)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill in settings, which must be there. A line break in one cannot start a header of its own."""
    return _PLACE.sub(lambda match: re.sub(r"[\r\n]+", " ", values[match[1]]).strip(), template)


def fill_url(template: str, values: Mapping[str, str]) -> str:
    """Fill in settings, and lose the slashes at the end that people type."""
    return fill(template, {name: value.strip().rstrip("/") for name, value in values.items()})
