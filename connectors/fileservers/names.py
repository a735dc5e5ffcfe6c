"""Names of files whose bytes are not UTF-8: they become surrogates, as in `os.fsdecode`, and back.

aioftp takes the name of a charset only, so this way to read UTF-8 has one.
"""

import codecs
from typing import Any, Final

ESCAPED_UTF_8: Final = "utf_8_with_surrogates"


def _encode(text: str, _: str = "strict") -> tuple[bytes, int]:
    return codecs.utf_8_encode(text, "surrogateescape")


def _decode(content: Any, _: str = "strict") -> tuple[str, int]:
    return codecs.utf_8_decode(content, "surrogateescape", True)


def _find(name: str) -> codecs.CodecInfo | None:
    return codecs.CodecInfo(_encode, _decode, name=name) if name == ESCAPED_UTF_8 else None


codecs.register(_find)
