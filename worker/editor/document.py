"""A drawing as a topology file, and a topology file as a drawing."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from worker.editor.drawing import Drawing, DrawnNode, Fate, Note
from worker.editor.kinds import ACTIONS, WORKERS
from worker.errors import TopologyError

_PATHS: Final = {"connector": "/connector/{}/action", "custom": "/custom-node/{}/process", "batch": "/batch/{}/action"}

_ACTION: Final = re.compile(r"/?(?:connector|custom-node|batch)/([^/]+)/(?:action|process)")

_KINDS: Final = {
    **{worker: kind for kind, worker in ACTIONS.items()},
    "worker.http_limited": "connector",
    "splitter.amqprpc": "batch",
    "splitter.amqprpc_limited": "batch",
    "worker.user": "user",
    "worker.userTask": "user",
}

_LONGEST_ID: Final = 48


def document_of(drawing: Drawing, name: str, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return a checked drawing as a topology file with this name.

    An id begins with that of the topology: files of the editor count their nodes anew, and nodes of two topologies must
    not share a queue. `addresses` are URLs by the name of the service; others are as the file has them.
    """
    id_ = _identifier(name)
    ids = {node.id: f"{id_}:{_identifier(node.id)}" for node in drawing.nodes}
    names = {node.id: node.name for node in drawing.nodes}
    followers: dict[str, list[dict[str, str]]] = {node.id: [] for node in drawing.nodes}
    for source, target in drawing.connections:
        followers[source].append({"id": ids[target], "name": names[target]})
    nodes = [
        {
            "id": ids[node.id],
            "name": node.name,
            "worker": WORKERS[node.kind],
            "application": node.application,
            "settings": _settings(node, addresses),
            "followers": followers[node.id],
        }
        for node in drawing.nodes
    ]
    return {"id": id_, "name": name, "nodes": nodes}


def _identifier(text: str) -> str:
    """Return what of the text may stand in the name of a queue; where more is lost, with a mark of its own."""
    clean = re.sub(r"[^A-Za-z0-9_-]", "-", text)
    if clean == text and 0 < len(text) <= _LONGEST_ID:
        return text
    mark = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{clean[: _LONGEST_ID - 9]}-{mark}"


def _settings(node: DrawnNode, addresses: Mapping[str, str]) -> dict[str, Any]:
    if node.kind not in ACTIONS:
        return dict(node.settings)
    settings: dict[str, Any] = {"actionPath": _PATHS[node.kind].format(node.name), **node.settings}
    if url := addresses.get(node.service) or _url(node.host):
        settings["url"] = url
    if node.service:
        settings["headers"] = {"sdk": node.service}
    return settings


def _url(host: str) -> str:
    return host if "://" in host or not host else f"http://{host}"


def not_in_document(drawing: Drawing, addresses: Mapping[str, str]) -> Iterator[Note]:
    """Yield what `document_of` guesses of a drawing, and what it has no place for.

    Raises `TopologyError` for an address of an unknown service.
    """
    services = {node.service: _url(node.host) for node in drawing.nodes if node.service}
    if unknown := sorted(set(addresses) - set(services)):
        has = ", ".join(sorted(services)) or "none"
        raise TopologyError(f"--url names {', '.join(unknown)}, but the services of the file are: {has}.")
    for service, url in services.items():
        if not (url or addresses.get(service)):
            cure = f"if they are not: topology import --url {service}=URL"
            yield Note(Fate.GUESSED, f"the actions of {service} are in this process ({cure})")
    for node in drawing.nodes:
        if node.cron:
            yield Note(Fate.DROPPED, f"the time {node.cron!r}: a scheduler has to start the node", node.id)


def guesses_of(drawing: Drawing) -> Mapping[str, Sequence[str]]:
    """Return what was guessed and what was dropped of a drawing that is taken as it is, with the names of the nodes."""
    names = {node.id: f"{node}: " for node in drawing.nodes}
    found: dict[str, list[str]] = {fate.value: [] for fate in Fate}
    for note in (*drawing.notes, *not_in_document(drawing, {})):
        found[note.fate.value].append(f"{names.get(note.node, '')}{note.text}")
    return found


def drawing_of(document: Mapping[str, Any], service: str) -> Drawing:
    """Return a checked topology file as a drawing; `service` has the actions of nodes that name none."""
    nodes: Sequence[Mapping[str, Any]] = document["nodes"]
    known = {node["id"] for node in nodes}
    notes: list[Note] = []
    short = f"{document['id']}:"
    drawn = [_drawn(node, short, service, notes) for node in nodes]
    connections = []
    for node in nodes:
        for follower in node.get("followers", ()):
            if follower["id"] in known:
                connections.append((node["id"].removeprefix(short), follower["id"].removeprefix(short)))
            else:
                text = f"the follower {follower.get('name') or follower['id']}, which is not in the file"
                notes.append(Note(Fate.DROPPED, text, node["id"].removeprefix(short)))
    return Drawing(drawn, connections, notes)


def _drawn(node: Mapping[str, Any], short: str, service: str, notes: list[Note]) -> DrawnNode:
    id_, name, kind = node["id"].removeprefix(short), node["name"], _KINDS.get(node["worker"], "")
    settings = {key: value for key, value in (node.get("settings") or {}).items() if value}
    path, url = settings.pop("actionPath", ""), _host(settings.pop("url", ""))
    if not kind:
        notes.append(Note(Fate.GUESSED, f"a {_event(name)} event, as it passes messages on", id_))
        return DrawnNode(id_, name, _event(name), settings=settings)
    if kind not in ACTIONS:
        return DrawnNode(id_, name, kind, settings=settings)
    action = found[1] if (found := _ACTION.fullmatch(path)) else ""
    if action and action != name:
        notes.append(Note(Fate.DROPPED, f"the name {name}, as the editor shows that of the action", id_))
    application, service = node.get("application") or "", _service(settings) or service
    return DrawnNode(id_, action, kind, application, service, host=url, settings=settings)


def _service(settings: dict[str, Any]) -> str:
    """Take the name of the service out of the settings of a node."""
    headers = dict(settings.pop("headers", {}))
    service = str(headers.pop("sdk", ""))
    if headers:
        settings["headers"] = headers
    return service


def _host(url: str) -> str:
    """Return where a service is; the platform writes `http://:0` when it has none."""
    return "" if url == "http://:0" else url


def _event(name: str) -> str:
    return next((kind for kind in ("cron", "webhook") if name.lower().startswith(kind)), "start")
