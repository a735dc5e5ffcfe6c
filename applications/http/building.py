"""Makes requests: the application's address and headers, a path with its values, and one kind of body."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from applications.access import Access
from applications.http.formats import write_json
from applications.http.headers import merged, without
from applications.http.paths import fill_path, values_of
from applications.http.request import Outgoing, RequestOptions
from applications.http.response import Headers
from applications.http.values import Arrays, pairs_of
from applications.http.wire import is_elsewhere, with_query

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"


def build(
    access: Access, method: str, path: str, values: Any, options: RequestOptions, application: str = ""
) -> Outgoing:
    """Return the request. One to another host gets neither the application's headers nor its sign-in.

    Raises `ValueError` for a path without base URL, and as `fill_path` for values that do not fit.
    """
    kind, body = body_of(options)
    url = _url(access, fill_path(path, values_of(values)) if values is not None else path, options)
    if is_elsewhere(url, access.base_url):
        access = Access(secrets=access.secrets, is_from_install=access.is_from_install)
    return Outgoing(
        method,
        url,
        _headers(access.headers, kind, options.get("headers", {})),
        body,
        access.auth,
        options.get("timeout_seconds"),
        application,
        access.is_from_install,
        access.secrets,
    )


def _url(access: Access, path: str, options: RequestOptions) -> str:
    url = path
    if not path.startswith(("http://", "https://")):
        if not access.base_url:
            raise ValueError(f"{path} needs a base URL: give the action an application, or write the whole URL")
        url = f"{access.base_url.rstrip('/')}/{path.lstrip('/')}" if path else access.base_url
    given = list(pairs_of(options.get("params") or {}, "query", options.get("arrays", Arrays.REPEAT)))
    return with_query(url, given) if given else url


def _headers(application: Mapping[str, str], kind: str, call: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers, of which the nearest wins: the call's, then the application's, then the body's own.

    An application's content type stands for the bodies that it describes, such as `application/vnd.api+json` for JSON.
    """
    if not kind or _family(Headers(application).get("content-type", kind)) == _family(kind) != "form":
        return merged({"Content-Type": kind} if kind else {}, application, call)
    own = {} if kind == MULTIPART else {"Content-Type": kind}  # of a multipart form the library writes the boundary
    return merged(without(application, "content-type"), own, call)


def _family(content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    return "form" if "form" in kind else "xml" if kind.endswith("xml") else "other"


def body_of(options: RequestOptions) -> tuple[str, dict[str, Any]]:
    """Return the content type of the body, empty where it has none of its own, and the body.

    Raises `ValueError` for values that have no form in it.
    """
    if "json" in options:
        return "application/json", {"content": write_json(options["json"])}
    if "xml" in options:
        from applications.http.xml import write_xml  # noqa: PLC0415 - only who writes XML pays for the parser

        ((root, data),) = options["xml"].items()
        return "application/xml; charset=utf-8", {"content": write_xml(root, data)}
    if "content" in options:
        return "", {"content": options["content"]}
    pairs = list(pairs_of(options.get("form", {}), "form", options.get("arrays", Arrays.REPEAT)))
    if "files" in options:
        return MULTIPART, {"form": _grouped(pairs), "files": dict(options["files"])}
    return (FORM, {"content": urlencode(pairs).encode()}) if "form" in options else ("", {})


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, text in pairs:
        grouped.setdefault(name, []).append(text)
    return grouped
