"""Actions in one declaration.

github = Endpoints(GitHub)
get_repository = github.get("github-get-repository", "/repos/{owner}/{repo}", RepositoryRef, Repository)
list_issues = github.list("github-list-issues", "/repos/{owner}/{repo}/issues", RepositoryRef, Issue,
                          pages=LinkHeader(size_param="per_page"))
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypedDict, Unpack

from pydantic import BaseModel

from applications import Application
from applications.http.headers import merged
from applications.http.paths import fill_path, fill_query, places_of, values_of
from applications.http.response import Response
from applications.http.values import Arrays
from connectors.action import Batch, Connector, Declared, In, Out, reader_of
from connectors.bodies import Body, JsonBody, NoBody
from connectors.connection import Connection
from connectors.listing import PageRequest, read_page
from connectors.message import Message
from connectors.outcome import Page
from connectors.paging import Pages
from connectors.rules import Rules
from connectors.service import CallOptions

Query = Mapping[str, Any] | Iterable[str]
"""The query: names of input fields, or values by parameter, where `"{field}"` stands for an input field's value."""

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


def _declared() -> Declared:
    """Find the declaration: an object does not know its module by itself, as classes and functions do."""
    frame = sys._getframe(1)  # noqa: SLF001 - as in collections.namedtuple and typing.NewType
    while frame.f_back is not None and frame.f_globals["__name__"] == __name__:
        frame = frame.f_back
    return Declared(frame.f_globals["__name__"], frame.f_code.co_filename, frame.f_lineno)


@dataclass(frozen=True, slots=True)
class Spec:
    """What one declaration says."""

    name: str
    path: str
    input: Any
    output: Any
    doc: str
    method: str = "GET"
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    arrays: Arrays = Arrays.REPEAT
    body: Body = NoBody()  # noqa: RUF009 - frozen
    at: str = "$"

    @property
    def taken(self) -> frozenset[str]:
        """Names of the fields that path and query take."""
        templates = [self.path, *(value for value in self.query.values() if isinstance(value, str))]
        return frozenset().union(*map(places_of, templates))


def _fields(model: Any, wanted: frozenset[str]) -> frozenset[str]:
    """Return the names under which a model's fields are filled in; all that is wanted where nobody can tell."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)) or model.model_config.get("extra") == "allow":
        return wanted
    named = {field.serialization_alias or field.alias or name for name, field in model.model_fields.items()}
    return frozenset(named | {field.alias or name for name, field in model.model_computed_fields.items()})


class _Declaration(Generic[In, Out]):
    """What all declared actions have in common."""

    spec: Spec
    declared: Declared | None

    def __init__(self, spec: Spec, application: type[Application] | None, rules: Rules) -> None:
        if not spec.name:
            raise ValueError("an action needs a name")
        if missing := sorted(spec.taken - _fields(spec.input, spec.taken)):
            raise ValueError(
                f"{spec.name}: {spec.path} wants {{{missing[0]}}}, but {spec.input.__name__} has no such field"
            )
        self.spec, self.name, self.declared = spec, spec.name, _declared()
        self.application, self.rules = application, rules
        self.input_type, self.output_type = spec.input, spec.output
        self.read = reader_of(spec.input)
        self._taken = spec.taken
        self.__doc__ = spec.doc

    def _asked(self, data: Any) -> tuple[Mapping[str, Any], CallOptions]:
        """Return the values for the path, and query, headers and body."""
        spec, values = self.spec, values_of(data) if self._taken else {}
        options = spec.body.write(data, self._taken)
        options["headers"] = merged(options.get("headers", {}), spec.headers)
        options["arrays"] = spec.arrays
        options["params"] = fill_query(spec.query, values)
        return values, options


class Endpoint(_Declaration[In, Out], Connector[In, Out]):
    """A connector in one declaration; made by `Endpoints`."""

    async def process(self, message: Message[In]) -> Message[Out]:
        """Call the endpoint; its reply becomes the body. An empty reply leaves the message as it is."""
        values, options = self._asked(message.data)
        response = await self.service.request(self.spec.method, fill_path(self.spec.path, values), **options)
        return self._answer(message, response)

    def _answer(self, message: Message[In], response: Response) -> Message[Any]:
        if response.content:
            return message.with_data(response.model(self.spec.output, self.spec.at))
        if self.spec.output is Any:
            return message
        raise response.unreadable(f"the body is empty, {self.spec.output} expected")


class Listing(_Declaration[In, Out], Batch[In, Out]):
    """A batch in one declaration; made by `Endpoints.list`."""

    def __init__(self, spec: Spec, application: type[Application] | None, rules: Rules, pages: Pages) -> None:
        super().__init__(spec, application, rules)
        self._pages = pages

    async def page(self, message: Message[In], cursor: str | None) -> Page:
        """Ask for one page."""
        spec = self.spec
        values, options = self._asked(message.data)
        options["is_repeatable"] = True
        request = PageRequest(spec.method, spec.path, values, spec.at, spec.output, options)
        return await read_page(self.service, self._pages, message, cursor, request)


class GraphQLEndpoint(_Declaration[In, Out], Connector[In, Out]):
    """A query or mutation in one declaration; made by `Endpoints.graphql`. `spec.doc` is the query."""

    def __init__(self, spec: Spec, application: type[Application] | None, rules: Rules, query: str) -> None:
        super().__init__(spec, application, rules)
        self._query = query

    async def process(self, message: Message[In]) -> Message[Out]:
        """Ask; the answer becomes the body."""
        reply = await self.graphql(self._query, message.data, path=self.spec.path)
        return message.with_data(reply.model(self.spec.output, self.spec.at))


class GraphQLListing(_Declaration[In, Out], Batch[In, Out]):
    """A connection in one declaration; made by `Endpoints.connection`."""

    def __init__(
        self, spec: Spec, application: type[Application] | None, rules: Rules, query: str, pages: Connection
    ) -> None:
        super().__init__(spec, application, rules)
        self._query, self._pages = query, pages

    async def page(self, message: Message[In], cursor: str | None) -> Page:
        """Ask for one page."""
        return await self.read_connection(
            message, cursor, self._pages, self._query, message.data, path=self.spec.path, model=self.spec.output
        )


class Options(TypedDict, total=False):
    """What a declaration may say besides method, path and types."""

    query: Query
    headers: Mapping[str, str]
    arrays: Arrays
    """How query and form carry the values of a list: `a=1&a=2` when it is not given."""
    body: Body
    """JSON of the fields that are left for POST, PUT and PATCH, else none."""
    at: str
    """Where the output lies in the reply, such as `data.order`."""
    rules: Rules
    doc: str
    """What the action does, for `orchesty-worker actions`."""


@dataclass(frozen=True, slots=True)
class Verb:
    """Declares connectors with one HTTP method: `get(name, path, input, output)`."""

    endpoints: "Endpoints"
    method: str

    def __call__(
        self, name: str, path: str, input: type[In], output: type[Out], **options: Unpack[Options]
    ) -> Endpoint[In, Out]:
        """Declare a connector; see `Endpoints.endpoint`."""
        return self.endpoints.endpoint(self.method, name, path, input, output, **options)


class Endpoints:
    """Declares the endpoints of one application; `rules` hold for all of them.

    `get`, `post`, `put`, `patch` and `delete` make connectors: `get("shop-get-order", "/orders/{id}", OrderId, Order)`;
    `list` makes batches. The input's fields fill the path's places and the query. For POST, PUT and PATCH the rest is
    the JSON body, unless `body` says otherwise: `JsonBody`, `FormBody`, `MultipartBody`, `XmlBody`, `RawBody`,
    `NoBody`. `at` is where the output lies in the reply. `rules` of a declaration win over those of the application.

    A declaration without a name, or with a place in its path that the input model has no field for, raises
    `ValueError`.
    """

    def __init__(
        self, application: type[Application] | None = None, *, rules: Rules | None = None, graphql_path: str = ""
    ) -> None:
        self.application = application
        self._rules = rules or Rules()
        self._graphql_path = graphql_path
        self.get = Verb(self, "GET")
        self.post = Verb(self, "POST")
        self.put = Verb(self, "PUT")
        self.patch = Verb(self, "PATCH")
        self.delete = Verb(self, "DELETE")

    def endpoint(
        self, method: str, name: str, path: str, input: type[In], output: type[Out], **options: Unpack[Options]
    ) -> Endpoint[In, Out]:
        """Declare a connector. `Any` as output takes the reply as it is."""
        spec = _spec(method, name, path, input, output, options, f"{method} {path}")
        return Endpoint(spec, self.application, self._merged(options.get("rules")))

    def list(
        self,
        name: str,
        path: str,
        input: type[In],
        output: type[Out],
        *,
        pages: Pages,
        method: str = "GET",
        **options: Unpack[Options],
    ) -> Listing[In, Out]:
        """Declare a batch; `output` is the type of one item, `at` is where the items lie in the reply."""
        spec = _spec(method, name, path, input, output, options, f"{method} {path}, page by page")
        return Listing(spec, self.application, self._merged(options.get("rules")), pages)

    def graphql(
        self,
        name: str,
        query: str,
        input: type[In],
        output: type[Out],
        *,
        at: str = "$",
        rules: Rules | None = None,
        doc: str = "",
    ) -> GraphQLEndpoint[In, Out]:
        """Declare a query or mutation; the input's fields are its variables."""
        spec = Spec(name, self._graphql_path, input, output, doc or _first_line(query), at=at)
        return GraphQLEndpoint(spec, self.application, self._merged(rules), query)

    def connection(
        self,
        name: str,
        query: str,
        input: type[In],
        output: type[Out],
        *,
        pages: Connection,
        rules: Rules | None = None,
        doc: str = "",
    ) -> GraphQLListing[In, Out]:
        """Declare a batch over a GraphQL connection; `output` is the type of one node."""
        spec = Spec(name, self._graphql_path, input, output, doc or f"{_first_line(query)}, page by page")
        return GraphQLListing(spec, self.application, self._merged(rules), query, pages)

    def _merged(self, rules: Rules | None) -> Rules:
        return rules.over(self._rules) if rules else self._rules


def _spec(method: str, name: str, path: str, taken: Any, given: Any, options: Options, doc: str) -> Spec:
    return Spec(
        name=name,
        path=path,
        input=taken,
        output=given,
        doc=options.get("doc", doc),
        method=method,
        query=_query(options.get("query", ())),
        headers=options.get("headers", {}),
        arrays=options.get("arrays", Arrays.REPEAT),
        body=options.get("body", JsonBody() if method in _WITH_BODY else NoBody()),
        at=options.get("at", "$"),
    )


def _query(query: Query) -> Mapping[str, Any]:
    query = (query,) if isinstance(query, str) else query
    return query if isinstance(query, Mapping) else {name: f"{{{name}}}" for name in query}


def _first_line(query: str) -> str:
    return query.strip().partition("\n")[0].rstrip(" {")
