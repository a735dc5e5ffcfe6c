"""Text from outside as a terminal may show it: what cannot be seen becomes an escape."""

import re
from typing import Final

_NOT_PLAIN: Final = re.compile(r"[^\x20-\x7e]")


def printable(text: str) -> str:
    r"""Return the text as one line, with escapes for what cannot be seen: `\x1b`, `\n`, `\u202e`."""
    if text.isprintable():
        return text
    return _NOT_PLAIN.sub(lambda found: found[0] if found[0].isprintable() else _escape(found[0]), text)


def printable_lines(text: str) -> str:
    """Return the same with its line breaks."""
    return "\n".join(map(printable, text.split("\n")))


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
