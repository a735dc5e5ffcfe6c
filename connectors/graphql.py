"""GraphQL: a query with variables; errors in a 200 reply become outcomes.

https://spec.graphql.org/October2021/#sec-Response-Format
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar, Unpack

from applications.http.errors import ReplyUnreadable
from applications.http.paths import given_values
from applications.http.response import Response, pick, read_as, read_list
from applications.reply_times import read_number
from connectors.errors import GraphQLFailed
from connectors.message import json_text
from connectors.rate import RateNotice
from connectors.rules import Meaning
from connectors.service import CallOptions, Service, end

Model = TypeVar("Model")

THROTTLED: Final = frozenset({
    *("THROTTLED", "MAX_COST_EXCEEDED_FOR_NOW", "RATE_LIMITED", "RATE_LIMIT", "RATE_LIMIT_EXCEEDED"),
    # https://developer.monday.com/api-reference/docs/error-handling
    *("COMPLEXITYEXCEPTION", "COMPLEXITY_BUDGET_EXHAUSTED", "FIELD_MINUTE_RATE_LIMIT_EXCEEDED"),
    *("MAXCONCURRENCYEXCEEDED", "CONCURRENCY_LIMIT_EXCEEDED", "IP_RATE_LIMIT_EXCEEDED", "DAILY_LIMIT_EXCEEDED"),
})  # fmt: skip
_MONDAY: Final = ("error_code", "error_message")
_RESET: Final = re.compile(r"reset in (\d+) seconds?", re.IGNORECASE)
TEMPORARY: Final = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What a query cost, as Shopify and others tell in `extensions.cost`."""

    requested: float
    available: float
    restored_per_second: float

    @property
    def wait_seconds(self) -> float:
        """Seconds until such a query can be paid for again."""
        missing = max(self.requested - self.available, 0)
        return missing / self.restored_per_second if self.restored_per_second else 0


@dataclass(frozen=True, slots=True)
class GraphQLReply:
    """The answer to a query: its `data`, and what the service says beside it."""

    data: Any
    extensions: Mapping[str, Any]
    response: Response

    def model(self, model: type[Model], at: str = "$") -> Model:
        """Return the data, or what lies `at` a path in it such as `order.customer`, as this type."""
        return read_as(model, pick(self.data, at))

    def models(self, model: type[Model], at: str = "$") -> list[Model]:
        """Return a list of this type: of a list, or of a connection with its `nodes` or `edges`."""
        return read_list(model, nodes_of(pick(self.data, at)))

    @property
    def cost(self) -> Cost | None:
        """What the query cost, if the service tells."""
        return _cost(self.extensions)


def nodes_of(connection: Any) -> list[Any]:
    """Return the items of a connection or list; none of null. Raises `ReplyUnreadable` for anything else."""
    if connection is None or isinstance(connection, list):
        return connection or []
    if not isinstance(connection, Mapping) or not connection.keys() & {"nodes", "edges"}:
        raise ReplyUnreadable("no list and no connection of a GraphQL service: it has neither nodes nor edges")
    nodes, edges = connection.get("nodes"), connection.get("edges")
    found = [pick(edge, "node") for edge in edges] if nodes is None and isinstance(edges, list) else nodes
    if not isinstance(found, list | None):
        raise ReplyUnreadable("the nodes of a connection are no list")
    return found or []


async def ask(
    service: Service, query: str, variables: Any = None, *, path: str = "", **options: Unpack[CallOptions]
) -> GraphQLReply:
    """Send a query and return the answer.

    Errors end the action: throttled ones repeat when the cost is restored, temporary ones repeat, all others and the
    `...userErrors` of a mutation raise `GraphQLFailed`, which goes to the trash with their text and place. Raises
    `ReplyUnreadable` for a reply with neither data nor errors.
    """
    options["json"] = {"query": query, "variables": given_values(variables)}
    options.setdefault("is_repeatable", "mutation" not in query)
    response = await service.post(path, **options)
    answer = response.json()
    if not isinstance(answer, Mapping) or not (answer.keys() & {"data", "errors", *_MONDAY}):
        raise response.unreadable("no answer of a GraphQL service: neither data nor errors")
    extensions = answer.get("extensions")
    extensions = extensions if isinstance(extensions, Mapping) else {}
    if errors := errors_of(answer):
        _fail(service, response, errors, answer, options)
    _note(service, _cost(extensions))
    data = answer.get("data")
    if refused := list(_user_errors(data)):
        raise GraphQLFailed(f"{response}: refused: {'; '.join(map(_user_text, refused))}", errors=refused, data=data)
    return GraphQLReply(data, extensions, response)


def errors_of(answer: Mapping[str, Any]) -> list[Any]:
    """Return the errors of an answer, also where they are one and no list, or in Monday's own form."""
    errors = _listed(answer.get("errors"))
    if not errors and (said := [answer[name] for name in _MONDAY if answer.get(name)]):
        return [{"message": said[-1], "extensions": {**_mapping(answer.get("error_data")), "code": said[0]}}]
    return errors


def _listed(found: Any) -> list[Any]:
    """Return a list as it is, nothing for null, false, 0 and empty values, and anything else as a list of one."""
    return found if isinstance(found, list) else [found] if found else []


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _fail(
    service: Service, response: Response, errors: Sequence[Any], answer: Mapping[str, Any], options: CallOptions
) -> NoReturn:
    text = f"{response}: {'; '.join(map(_text, errors))}"
    codes = {str(pick(error, "extensions.code") or pick(error, "type") or "").upper() for error in errors}
    own = options.get("rules")
    rules = own.over(service.rules) if own else service.rules
    if codes & THROTTLED:
        end(Meaning.REPEAT, text, rules, _throttled(service, errors, _cost(answer.get("extensions"))))
    if codes and codes <= TEMPORARY:
        end(Meaning.REPEAT, text, rules)
    raise GraphQLFailed(text, errors=errors, data=answer.get("data"))


def _throttled(service: Service, errors: Sequence[Any], cost: Cost | None) -> RateNotice | None:
    """Tell the limiter when to go on: as the costs say, or else the errors."""
    if cost is not None:
        return _note(service, cost)
    said = [_number(pick(error, "extensions.retry_in_seconds")) for error in errors]
    said += [_number(found[1]) for error in errors if (found := _RESET.search(_text(error)))]
    waits = [seconds for seconds in said if seconds]
    return service.note(resume_after_seconds=max(waits)) if waits else None


def _note(service: Service, cost: Cost | None) -> RateNotice | None:
    if cost is None:
        return None
    return service.note(resume_after_seconds=cost.wait_seconds or None, remaining=int(cost.available))


def _cost(extensions: Any) -> Cost | None:
    """Return the cost; None where one of its figures is missing or no number."""
    places = ("requestedQueryCost", "throttleStatus.currentlyAvailable", "throttleStatus.restoreRate")
    requested, available, restored = (_number(pick(extensions, f"cost.{place}")) for place in places)
    if requested is None or available is None:
        return None
    return Cost(requested, available, restored or 0)


def _number(value: Any) -> float | None:
    """Return a number that is not negative, also one that is written as text."""
    return None if isinstance(value, bool) else read_number(str(value))


def _user_errors(data: Any) -> Iterator[Any]:
    """A mutation that was refused says so one level down, in `userErrors`, `customerUserErrors` and the like."""
    for payload in _mapping(data).values():
        for name, errors in _mapping(payload).items():
            if name.lower().endswith("usererrors"):
                yield from _listed(errors)


def _text(error: Any) -> str:
    if not isinstance(error, Mapping):
        return str(error)
    path = _path(error.get("path"))
    return f"{error.get('message') or json_text(error)}{f' (at {path})' if path else ''}"


def _user_text(error: Any) -> str:
    field = _path(pick(error, "field"))
    return f"{f'{field}: ' if field else ''}{_text(error)}"


def _path(path: Any) -> str:
    return ".".join(map(str, path if isinstance(path, list) else [path] if path else []))
