"""URLs with passwords in them: what may be shown of them, and whether they say what was meant."""

from urllib.parse import urlsplit

_CURE = (
    "no host can be read from it: write scheme://user:password@host:port/..., "
    "and in user, password and options / @ # ? as %2F %40 %23 %3F"
)


def checked_url(url: str) -> str:
    """Return the URL. Raises `ValueError`, without the URL in it, when its password ends too early or too late.

    A `/`, `#` or `?` in a password ends the host, an `@` begins it: parts of the password would be shown as the host or
    the path. Such a URL has an `@` at another place than before its host.
    """
    if url.partition("://")[0] == "sqlite":
        return url
    try:
        user, at, hosts = urlsplit(url).netloc.rpartition("@")
        _ = [urlsplit(f"//{host}").port for host in hosts.split(",")]  # raises where one is no port
    except ValueError:
        raise ValueError(_CURE) from None  # what urlsplit says has the text in it
    if "@" in user or url.count("@") > len(at):
        raise ValueError(_CURE)
    return url


def shown_url(url: str) -> str:
    """Return the URL without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
