"""What the platform's services may have written into the document of an install, read so that none spoils another."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import structlog

from worker.documents.client import Document

log = structlog.get_logger()


def readable(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield those that say whose they are."""
    for one in documents:
        names = (one.get("user"), one.get("key"), one.get("sdk") or "none")
        if all(isinstance(name, str) and name and "\0" not in name for name in names):
            yield one
        else:
            log.warning("install_unreadable", id=one["_id"], cause="user, key or sdk is no text")


def plain_of(document: Document) -> Mapping[str, Any]:
    """Return the settings that are not secret; PHP writes an empty list for none."""
    plain = document.get("nonEncryptedSettings")
    return plain if isinstance(plain, dict) else {}


def milliseconds_of(value: Any) -> int:
    """Return a time since the epoch; 0 for what is no time."""
    try:
        return int(datetime.fromisoformat(str(value)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
