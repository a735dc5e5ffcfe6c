"""The place of a next page on its way through the broker: services echo access tokens in it, and it may be trashed.

What the sign-in adds to each request anyway is cut out of a URL. A place in which a secret is left is sealed by the key
of the installs, always to the same text: ids of messages follow from it.
"""

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from applications.access import Access
from applications.http.request import Auth, Credentials, Request
from applications.redaction import redact
from connectors.secrets import is_secret_name
from connectors.service import Service

SEALED: Final = "orchesty-sealed:"
"""Begins the place of a page that is not to be read."""


async def concealed(service: Service, place: str) -> str:
    """Return the place as it may travel."""
    access = await service.access()
    if access.auth and _is_url(place):
        place = without_credentials(place, await _credentials(access, place), access.secrets)
    if access.sealer is None or not (_names_secret(place) or redact(place, access.secrets) != place):
        return place
    return SEALED + access.sealer.seal(place)


async def revealed(service: Service, place: str | None) -> str | None:
    """Return the place that the service named. Raises `SecretsError` for one that another key has sealed."""
    if place is None or not place.startswith(SEALED):
        return place
    sealer = (await service.access()).sealer
    return place if sealer is None else sealer.open(place.removeprefix(SEALED))


def without_credentials(url: str, credentials: Credentials, secrets: Collection[str]) -> str:
    """Return the URL without parameters that each request gets again, or whose secret it carries in a header."""
    parts = urlsplit(url)
    given = {word for value in credentials.headers.values() for word in value.split()} & set(secrets)
    kept = [part for part in parts.query.split("&") if not _is_credential(part, credentials.query, given)]
    return urlunsplit(parts._replace(query="&".join(kept)))


def _is_credential(parameter: str, query: Mapping[str, str], given: set[str]) -> bool:
    return any(name in query or value in given for name, value in parse_qsl(parameter))


async def _credentials(access: Access, url: str) -> Credentials:
    """Return what a request to this place carries."""
    assert isinstance(access.auth, Auth), "asked for only then"
    signing = access.auth.sign(Request("GET", url, {}))
    try:
        return await anext(signing)
    finally:
        await signing.aclose()


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _names_secret(place: str) -> bool:
    return _is_url(place) and any(is_secret_name(name) for name, _ in parse_qsl(urlsplit(place).query))
