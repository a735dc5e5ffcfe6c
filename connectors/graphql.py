"""GraphQL: a query with variables; errors in a 200 reply become outcomes.

https://spec.graphql.org/October2021/#sec-Response-Format
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, Unpack

from applications.http.paths import given_values
from applications.http.response import Response, pick, read_as, read_list
from connectors.errors import GraphQLFailed
from connectors.rate import RateNotice
from connectors.rules import Meaning
from connectors.service import CallOptions, Service, end

Model = TypeVar("Model")

THROTTLED: Final = frozenset({"THROTTLED", "MAX_COST_EXCEEDED_FOR_NOW", "RATE_LIMITED", "RATE_LIMIT"})
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
    """Return the items of a connection, or of a plain list."""
    if not isinstance(connection, Mapping):
        return list(connection or [])
    if "nodes" in connection:
        return list(connection["nodes"])
    return [edge["node"] for edge in connection.get("edges", [])]


async def ask(
    service: Service, query: str, variables: Any = None, *, path: str = "", **options: Unpack[CallOptions]
) -> GraphQLReply:
    """Send a query and return the answer.

    Errors end the action: throttled ones repeat when the cost is restored, temporary ones repeat, all others and the
    `userErrors` of a mutation raise `GraphQLFailed`, which goes to the trash with their text and place. Raises
    `ReplyUnreadable` for a reply with neither data nor errors.
    """
    options["json"] = {"query": query, "variables": given_values(variables)}
    response = await service.post(path, **options)
    answer = response.json()
    if not isinstance(answer, Mapping) or not ("data" in answer or "errors" in answer):
        raise response.unreadable("no answer of a GraphQL service: neither data nor errors")
    extensions = answer.get("extensions") or {}
    if errors := answer.get("errors"):
        _fail(service, response, errors, _cost(extensions), options)
    _note(service, _cost(extensions))
    if refused := list(_user_errors(answer.get("data"))):
        raise GraphQLFailed(f"{response}: refused: {'; '.join(map(_user_text, refused))}", errors=refused)
    return GraphQLReply(answer.get("data"), extensions, response)


def _fail(service: Service, response: Response, errors: Sequence[Any], cost: Cost | None, options: CallOptions) -> None:
    text = f"{response}: {'; '.join(map(_text, errors))}"
    codes = {str(pick(error, "extensions.code") or pick(error, "type") or "").upper() for error in errors}
    own = options.get("rules")
    rules = own.over(service.rules) if own else service.rules
    if codes & THROTTLED:
        end(Meaning.REPEAT, text, rules, _note(service, cost))
    if codes and codes <= TEMPORARY:
        end(Meaning.REPEAT, text, rules)
    raise GraphQLFailed(text, errors=errors)


def _note(service: Service, cost: Cost | None) -> RateNotice | None:
    if cost is None:
        return None
    return service.note(resume_after_seconds=cost.wait_seconds or None, remaining=int(cost.available))


def _cost(extensions: Any) -> Cost | None:
    requested, status = pick(extensions, "cost.requestedQueryCost"), pick(extensions, "cost.throttleStatus")
    if requested is None or not isinstance(status, Mapping):
        return None
    return Cost(float(requested), float(status.get("currentlyAvailable", 0)), float(status.get("restoreRate", 0)))


def _user_errors(data: Any) -> Iterator[Any]:
    """A mutation that was refused says so one level down."""
    if isinstance(data, Mapping):
        for payload in data.values():
            yield from pick(payload, "userErrors") or []


def _text(error: Any) -> str:
    if not isinstance(error, Mapping):
        return str(error)
    path = ".".join(map(str, error.get("path") or []))
    return f"{error.get('message')}{f' (at {path})' if path else ''}"


def _user_text(error: Any) -> str:
    field = ".".join(map(str, pick(error, "field") or []))
    return f"{f'{field}: ' if field else ''}{pick(error, 'message')}"
