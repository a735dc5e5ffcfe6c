"""URLs with passwords in them: what may be shown of them, and whether they say what was meant."""

from urllib.parse import urlsplit

SQLITE = "sqlite"


POSTGRESQL = frozenset({"postgresql", "postgres", "postgresql+psycopg"})


AMQP = frozenset({"amqp", "amqps"})


MONGODB = frozenset({"mongodb", "mongodb+srv"})


def check_url(url: str) -> None:
    """Raise `ValueError` that says how the URL of a trash looks, when this is none."""
    scheme, _, rest = url.partition("://")
    if scheme == SQLITE and rest.startswith("/") and rest != "/":
        return
    if scheme in MONGODB | POSTGRESQL and rest:
        return
    raise ValueError(
        "must be sqlite:///path, postgresql://user:password@host/database or mongodb://user:password@host/database"
    )


def broker_url(url: str) -> str:
    """Return the URL of a broker. Raises `ValueError`, without the URL in it, when it is none."""
    if url.partition("://")[0] not in AMQP:
        raise ValueError("must be amqp://user:password@host:5672/%2F or amqps://...")
    return checked_url(url)


REDIS = frozenset({"redis", "rediss", "unix"})


def check_storage_url(url: str) -> None:
    """Raise `ValueError` that says how the URL of a storage looks, when this is none."""
    scheme, _, rest = url.partition("://")
    is_file = scheme == SQLITE and rest.startswith("/") and rest != "/"
    if not (is_file or (scheme in POSTGRESQL | REDIS and rest)):
        raise ValueError("must be sqlite:///path, postgresql://user:password@host/database or redis://host:6379/0")


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
