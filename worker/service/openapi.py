"""The description of the HTTP API: `/openapi.json`, and `/docs` for people. Both are our own, so they want the key."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from html import escape
from importlib.metadata import version
from typing import Any, Final

from worker.service.callers import KEY_HEADER, Callers
from worker.service.http import HTML, Reply, Request, error_reply, json_reply
from worker.service.routing import ANY, Places, Route

_VERBS: Final = ("get", "post", "put", "patch", "delete")
_PLACE: Final = re.compile(r"\{(\w+)\}")


class DescriptionRoutes:
    """Describes other routes."""

    def __init__(self, described: Iterable[Route], callers: Callers) -> None:
        self._described = tuple(described)
        self._callers = callers

    def routes(self) -> Iterator[Route]:
        """Return the routes."""
        yield Route("GET", "/openapi.json", partial(self._with_key, self._json), 5.0, "Describe this API for programs")
        yield Route("GET", "/docs", partial(self._with_key, self._page), 5.0, "Describe this API for people")

    async def _with_key(self, answer: Callable[[], Reply], request: Request, places: Places) -> Reply:
        if not self._callers.has_key(request):
            return error_reply(f"send the key in the header {KEY_HEADER}", 401)
        return answer()

    def _json(self) -> Reply:
        return json_reply(description(self._described))

    def _page(self) -> Reply:
        rows = "".join(
            f"<tr><td><code>{escape(route.method)}</code></td><td><code>{escape(route.pattern)}</code></td>"
            f"<td>{escape(route.summary)}</td></tr>"
            for route in self._described
        )
        title = "HTTP API of the service"
        page = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        body = f'{page}<p><a href="openapi.json">openapi.json</a></p><table>{rows}</table></html>'
        return Reply(200, body.encode(), HTML, {"Content-Security-Policy": "default-src 'none'"})


def description(routes: Iterable[Route]) -> Mapping[str, Any]:
    """Return the OpenAPI description of routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for verb in _VERBS if route.method == ANY else (route.method.lower(),):
            paths.setdefault(route.pattern, {}).setdefault(verb, _operation(route, verb))
    info = {"title": "Service of an Orchesty installation", "version": version("orchesty-worker")}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _operation(route: Route, verb: str) -> Mapping[str, Any]:
    places = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PLACE.findall(route.pattern)
    ]
    content: Mapping[str, Any] = {"application/json": {"schema": {}}}
    body = {} if verb == "get" else {"requestBody": {"content": content}}
    answers = {
        "200": {"description": "done"},
        "201": {"description": "installed"},
        "400": {"description": "refused, with the reason"},
        "404": {"description": "nobody answers this path and method"},
    }
    return {"summary": route.summary, "parameters": places, "responses": answers, **body}
