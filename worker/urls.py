"""URLs with passwords in them: what may be shown of them, and whether they say what was meant."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SQLITE = "sqlite"
UNIX = "unix:"
"""What an address to listen on begins with that is the path of a socket."""
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


_FILE_OPTION = re.compile(
    r"(?<=[?&])(cafile|capath|certfile|keyfile|passfile|sslrootcert|sslcert|sslkey|sslcrl|sslcrldir|ssl_ca_certs"
    r"|ssl_ca_path|ssl_certfile|ssl_keyfile|tlsCAFile|tlsCertificateKeyFile|tlsCRLFile)=([^&]+)"
)
"""Options of AMQP, PostgreSQL, Redis and MongoDB that name a file."""


def absolute_url(url: str, folder: Path) -> str:
    """Return the URL with the files in it as absolute paths; relative ones are those of the folder."""
    scheme, _, rest = url.partition(":///")
    if scheme == SQLITE and not rest.startswith(("/", ":", "file:")):
        return f"{SQLITE}:///{folder}/{rest}"
    return _FILE_OPTION.sub(lambda option: f"{option[1]}={_absolute(option[2], folder)}", url)


def _absolute(value: str, folder: Path) -> str:
    path = unquote(value)
    is_file = not path.startswith("/") and path != "system"  # libpq's word for the system's certificates
    return quote(f"{folder}/{path}") if is_file else value


LEAST_SECRET = 8
"""A shorter password, or that of a user of the same name, stays readable elsewhere: it would hide innocent text."""


def secrets_in(value: str) -> Iterator[str]:
    """Return the password of a URL, a URL for HTTP as a whole, or the keys that stand there, with `id:` or without."""
    if "://" not in value:
        yield from (part for word in re.split(r"[,\s]+", value) for part in (word, word.partition(":")[2]) if part)
        return
    if value.startswith("http"):
        yield value
    with suppress(ValueError):
        parts = urlsplit(value)
        for password in {parts.password or "", unquote(parts.password or "")}:
            if len(password) >= LEAST_SECRET and password != parts.username:
                yield password


def http_url(address: str) -> str:
    """Return the URL of what is named as `host:port` or as a URL, without a slash at its end."""
    return (address if "://" in address else f"http://{address}").rstrip("/")
