"""A person who logs in, and what is left of it on the disk."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx

REDIRECT = "http://127.0.0.1:1/callback"


async def visit(url: str) -> dict[str, str]:
    """Log in as the person does; return what the browser is sent back with."""
    async with httpx.AsyncClient() as client:
        reply = await client.get(url)
    return dict(parse_qsl(urlsplit(reply.headers["location"]).query))


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
