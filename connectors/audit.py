"""Business audit: what a run was about (entities), and that it came by (checkpoints).

An entity is found later by its key: "what happened to order 17?" A checkpoint writes one log line with chosen fields of
the message. Both travel in headers that the platform understands.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from connectors.message import Message

AUDIT_ENTITY = "audit-entity"
AUDIT_CHECKPOINT = "audit-checkpoint"

AnyMessage = TypeVar("AnyMessage", bound=Message[Any])
Role = Literal["process_entry", "process_step", "process_exit"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is noted of each message that an action has had: `checkpoint = Checkpoint("process_step", ("id", "total"))`.

    Stands on the class of an action. It is noted whatever becomes of the message, also when the action raises.
    """

    role: Role
    fields: tuple[str, ...] = ()
    """`"customer.id"` goes deeper; none: only the passing is noted."""
    entity_path: str = "$"
    """Where in the body the object or the list of objects lies that the fields are taken from."""


def audit_entity(message: AnyMessage, entity: str, key: str, *fields: Mapping[str, object]) -> AnyMessage:
    """Return the message with entities it is about: `audit_entity(message, "order", "id", {"id": "17"})`.

    `key` names the field that identifies an entity; it has to be in each of `fields`, else `ValueError`. Entities of
    the same kind are added to those that the message has.
    """
    if missing := [index for index, one in enumerate(fields) if key not in one]:
        raise ValueError(f"{entity} has no field {key!r}, which is its key (number {missing[0] + 1})")
    known: dict[str, Any] = json.loads(message.headers.get(AUDIT_ENTITY) or "{}")
    before = known.get(entity, {}).get("fields", [])
    known[entity] = {"key": key, "fields": [*before, *({**one, key: str(one[key])} for one in fields)]}
    return message.with_headers({AUDIT_ENTITY: _text(known)})


def with_entities_of(parent: Mapping[str, Any], item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the headers of an item with the entities of its parent, too; a header that is unreadable stays."""
    own, inherited = item.get(AUDIT_ENTITY), parent.get(AUDIT_ENTITY)
    if not own or not inherited or own == inherited:
        return item
    try:
        return {**item, AUDIT_ENTITY: _text(_joined(json.loads(inherited), json.loads(own)))}
    except (ValueError, TypeError, LookupError, AttributeError):
        return item


def _joined(inherited: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    joined = {**inherited, **own}
    for entity in inherited.keys() & own.keys():
        if inherited[entity]["key"] == own[entity]["key"]:
            before = inherited[entity]["fields"]
            added = [one for one in own[entity]["fields"] if one not in before]
            joined[entity] = {**own[entity], "fields": [*before, *added]}
    return joined


def _text(entities: Mapping[str, Any]) -> str:
    return json.dumps(entities, separators=(",", ":"), ensure_ascii=False)


def audit_checkpoint(message: AnyMessage, role: Role, fields: Sequence[str], *, entity_path: str = "$") -> AnyMessage:
    """Return the message with a checkpoint, which the worker writes as one log line when it has the action's outcome.

    The line holds only `fields` (`"customer.id"` goes deeper) of the object or list at `entity_path`; none means that
    only the passing is noted. It shows what the action returned, for `process_exit` what the action was given, and for
    a batch each item. The checkpoint does not travel on.
    """
    content = {"role": role, "entityPath": entity_path, "fields": list(fields)}
    return message.with_headers({AUDIT_CHECKPOINT: json.dumps(content, separators=(",", ":"))})
