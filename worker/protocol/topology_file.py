"""The topology file, version 2, as the platform generates it; files of the editor become one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from worker.editor.reading import read_document
from worker.errors import TopologyError, told
from worker.protocol import headers
from worker.protocol.keys import parse_key
from worker.protocol.topology import RESERVED_ENDINGS, Deduplicate, Follower, Node, Repeater, Role, Topology
from worker.urls import absolute_url, broker_url

ROLES: Mapping[str, Role] = {
    "worker.null": Role.PASS_ON,
    "worker.http": Role.CONNECTOR,
    "worker.http_limited": Role.CONNECTOR,
    "worker.custom_node": Role.CUSTOM_NODE,
    "worker.batch": Role.BATCH,
    "splitter.amqprpc": Role.BATCH,
    "splitter.amqprpc_limited": Role.BATCH,
    "worker.user": Role.USER_TASK,
    "worker.userTask": Role.USER_TASK,
}


def _empty_for_null(value: object) -> object:
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(_empty_for_null)]


Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$", max_length=100)]


def _checked_key(text: str) -> str:
    parse_key(text)
    return text


def _address(text: str) -> str:
    return absolute_url(broker_url(text.strip()), Path.cwd())


class _FollowerEntry(BaseModel):
    id: Identifier
    name: Text = ""


class _RepeaterEntry(BaseModel):
    enabled: bool = True
    interval: int = Field(ge=0)
    hops: int = Field(ge=1)


WrittenKey = Annotated[str, AfterValidator(_checked_key)]


class _DeduplicateEntry(BaseModel):
    by: WrittenKey = f"header:{headers.PROCESS_ID}"
    seconds: float = Field(gt=0, le=366 * 86400)


class _SettingsEntry(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    url: Text = ""
    action_path: Text = Field("", alias="actionPath")
    timeout: float = Field(30, gt=0)
    prefetch: int = Field(10, alias="rabbitPrefetch", ge=1, le=65535)
    headers: dict[str, Any] | None = None
    configuration: dict[str, Any] | None = None
    repeater: _RepeaterEntry | None = None
    order_by: WrittenKey | None = Field(None, alias="orderBy")
    repeat_holds_line: bool = Field(False, alias="repeatHoldsLine")
    deduplicate: _DeduplicateEntry | None = None


class _NodeEntry(BaseModel):
    id: Identifier
    name: str
    worker: str
    application: Text = ""
    settings: _SettingsEntry = Field(default_factory=_SettingsEntry)
    followers: list[_FollowerEntry] = Field(default_factory=list)


class _BrokerEntry(BaseModel):
    dsn: Annotated[str, AfterValidator(_address)]


class _File(BaseModel):
    id: Identifier
    name: str
    nodes: list[_NodeEntry] = Field(min_length=1)
    brokers: list[_BrokerEntry] = Field(default_factory=list, alias="rabbitMq")


def load_topology(path: Path) -> Topology:
    """Read and check a topology file, which may be one of the platform's editor.

    Raises `TopologyError` naming the file, the place in it and the cure.
    """
    try:
        document, guesses = read_document(path)
        entries = _File.model_validate(document)
    except OSError as error:
        raise TopologyError(
            f"{path}: {error.strerror or error}. Name the topology file with TOPOLOGY_JSON or --topology."
        ) from None
    except ValidationError as error:
        raise TopologyError(_explain(path, error)) from None
    except TopologyError as error:
        raise TopologyError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
    except RecursionError:
        raise TopologyError(f"{path}: nested too deeply. Export the topology again.") from None
    except ValueError as error:
        raise TopologyError(f"{path}: not JSON: {error}. Export the topology again.") from None
    if problems := list(_problems(entries)):
        raise TopologyError("\n".join(f"{path}: {problem}" for problem in problems))
    nodes = tuple(_node(entries, entry, f"{path}: $.nodes[{index}]") for index, entry in enumerate(entries.nodes))
    return Topology(entries.id, entries.name, nodes, entries.brokers[0].dsn if entries.brokers else None, guesses)


def _explain(path: Path, error: ValidationError) -> str:
    lines = [f"{path}: {told(problem)}" for problem in error.errors()]
    return "\n".join(lines) + "\nThe shape is described in docs/topology.md."


def _problems(file: _File) -> Iterator[str]:
    places: dict[str, int] = {}
    for index, entry in enumerate(file.nodes):
        if entry.id in places:
            yield (
                f"at $.nodes[{index}].id: {entry.id!r} is the id of $.nodes[{places[entry.id]}] too. "
                "Give each node an id of its own."
            )
        places.setdefault(entry.id, index)
        if reserved := next((ending for ending in RESERVED_ENDINGS if entry.id.endswith(ending)), None):
            yield (
                f"at $.nodes[{index}].id: {entry.id!r} ends in {reserved!r}, as queues of the node "
                f"{entry.id.removesuffix(reserved)!r} do. Give the node another id."
            )
        yield from _repeated_followers(index, entry)
        if entry.worker not in ROLES:
            yield f"at $.nodes[{index}].worker: unknown type {entry.worker!r}. Use one of: {', '.join(ROLES)}."
        settings = entry.settings
        if settings.repeat_holds_line and settings.order_by is None and settings.prefetch > 1:
            yield (
                f"at $.nodes[{index}].settings.repeatHoldsLine: the node keeps no order. Set rabbitPrefetch to 1, or "
                "orderBy to a key."
            )


def _repeated_followers(index: int, entry: _NodeEntry) -> Iterator[str]:
    known: set[str] = set()
    for number, follower in enumerate(entry.followers):
        if follower.id in known:
            yield (
                f"at $.nodes[{index}].followers[{number}]: {follower.id!r} is listed twice, and its two copies of a "
                "message could not be told apart. Delete one."
            )
        known.add(follower.id)


def _node(file: _File, entry: _NodeEntry, place: str) -> Node:
    followers = tuple(Follower(follower.id, follower.name) for follower in entry.followers)
    stamp = {
        headers.NODE_ID: entry.id,
        headers.NODE_NAME: entry.name,
        headers.TOPOLOGY_ID: file.id,
        headers.WORKER_FOLLOWERS: json.dumps([{"id": f.id, "name": f.name} for f in followers]),
    }
    if file.name in headers.SYSTEM_TOPOLOGIES:
        stamp[headers.SYSTEM_EVENT] = "true"
    settings = entry.settings
    repeater = settings.repeater
    return Node(
        id=entry.id,
        name=entry.name,
        topology_id=file.id,
        topology_name=file.name,
        role=ROLES[entry.worker],
        application=entry.application,
        url=settings.url,
        action_path=settings.action_path,
        timeout_seconds=settings.timeout,
        prefetch=settings.prefetch,
        headers={name: headers.text(value) for name, value in (settings.headers or {}).items()},
        followers=followers,
        repeater=Repeater(repeater.interval, repeater.hops) if repeater and repeater.enabled else None,
        stamp=stamp,
        order_by=parse_key(settings.order_by) if settings.order_by else None,
        repeat_holds_line=settings.repeat_holds_line,
        deduplicate=_deduplicate(settings.deduplicate),
        configuration=settings.configuration or {},
        place=place,
    )


def _deduplicate(entry: _DeduplicateEntry | None) -> Deduplicate | None:
    return Deduplicate(parse_key(entry.by), entry.seconds) if entry else None
