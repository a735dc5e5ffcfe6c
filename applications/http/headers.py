"""Headers of requests: of all levels that name one, the nearest wins, whatever its case."""

import re
from collections.abc import Mapping
from typing import Any, Final

from applications.http.values import text_of

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2."""
_UNFIT: Final = re.compile(r"[^\t\x20-\x7e]")


def merged(*levels: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of all levels, each as the last one spells it. Raises as `header_text`."""
    found: dict[str, tuple[str, str]] = {}
    for level in levels:
        found |= {name.lower(): (name, header_text(name, value)) for name, value in level.items()}
    return dict(found.values())


def header_text(name: str, value: Any) -> str:
    """Return what is sent. Raises `ValueError` for a name that is none, and for a value that is not printable ASCII."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    text = value if type(value) is str else text_of(value, f"header {name!r}")
    if unfit := _UNFIT.search(text):
        raise ValueError(
            f"header {name!r}: character {unfit.start() + 1} is U+{ord(unfit[0]):04X}, and headers hold printable "
            "ASCII only: encode the value as the service says (mostly as in URLs, or in base64)"
        )
    return text


def without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    """Return the headers but this one."""
    return {own: value for own, value in headers.items() if own.lower() != name.lower()}
