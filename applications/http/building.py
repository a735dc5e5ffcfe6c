"""Makes requests: the application's address and headers, a path with its values, and one kind of body."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from applications.access import Access
from applications.http.paths import fill_path, values_of
from applications.http.request import Outgoing, RequestOptions
from applications.http.wire import is_elsewhere, with_query


def build(
    access: Access, method: str, path: str, values: Any, options: RequestOptions, application: str = ""
) -> Outgoing:
    """Return the request. One to another host gets neither the application's headers nor its sign-in.

    Raises `ValueError` for a path without base URL, and as `fill_path` for values that do not fit.
    """
    headers, body = body_of(options)
    url = _url(access, fill_path(path, values_of(values)) if values is not None else path, options.get("params"))
    if is_elsewhere(url, access.base_url):
        access = Access(secrets=access.secrets, is_from_install=access.is_from_install)
    return Outgoing(
        method,
        url,
        {**access.headers, **headers, **options.get("headers", {})},
        body,
        access.auth,
        options.get("timeout_seconds"),
        application,
        access.is_from_install,
        access.secrets,
    )


def _url(access: Access, path: str, params: Mapping[str, Any] | None) -> str:
    url = path
    if not path.startswith(("http://", "https://")):
        if not access.base_url:
            raise ValueError(f"{path} needs a base URL: give the action an application, or write the whole URL")
        url = f"{access.base_url.rstrip('/')}/{path.lstrip('/')}" if path else access.base_url
    given = {name: value for name, value in (params or {}).items() if value is not None}
    return with_query(url, given) if given else url


def body_of(options: RequestOptions) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the headers that belong to the body, and the body."""
    if "json" in options:
        return {"Content-Type": "application/json"}, {"content": to_json(options["json"])}
    if "xml" in options:
        from applications.http.xml import write_xml  # noqa: PLC0415 - only who writes XML pays for the parser

        ((root, data),) = options["xml"].items()
        return {"Content-Type": "application/xml; charset=utf-8"}, {"content": write_xml(root, data)}
    if "content" in options:
        return {}, {"content": options["content"]}
    body: dict[str, Any] = {}
    if "form" in options:
        body["form"] = dict(options["form"])
    if "files" in options:
        body["files"] = dict(options["files"])
    return {}, body
