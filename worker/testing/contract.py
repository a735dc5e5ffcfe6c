"""What every action keeps to, as tests that pytest collects from a subclass of yours.

ActionContract             name, text, example, success
├── ConnectorContract      and what replies of its service lead to, and that its secrets stay secret
└── BatchContract          the same, and that its pages come to an end
"""

import asyncio
import inspect
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from pydantic import TypeAdapter
from structlog.testing import capture_logs

from applications import Application
from applications.authentication import TokenAuthentication
from applications.http.errors import ConnectionLost
from applications.http.request import Request
from applications.http.transport import Reply, Transport
from connectors import Forward, Limited, Page, Repeat, Stop, Trash
from worker.actions.description import schema, types_of
from worker.actions.errors import describe
from worker.actions.registry import AnyAction
from worker.logs import NOISY
from worker.testing.action import ActionResult, run_action
from worker.testing.cassette import Cassette
from worker.testing.installs import installed
from worker.testing.scrub import Scrubber
from worker.testing.transports import answering

NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")

RETRY_AFTER = timedelta(seconds=120)

GOES_ON = (Forward, Page, Stop)

NOTHING_TO_RENEW = "the worker looks after no token of this action, so there is none to renew"


class ActionContract:
    """The contract of any action: `class TestAddVat(ActionContract): action = AddVat; data = {"net": 100}`."""

    action: ClassVar[AnyAction | type[AnyAction]]

    data: ClassVar[Any] = None
    """The body of a message that the action can work with; by default the first example of its input model."""

    user: ClassVar[str | None] = None
    """Whose message it is; `alice` where the application has to be installed."""

    settings: ClassVar[Mapping[str, Any]] = {}
    """The application's install, by field; required fields that are not named are made up."""

    replies: ClassVar[Sequence[Any]] = ()
    """What the service answers, in order: JSON data or a `Reply`. The last one stands for all further."""

    cassette: ClassVar[str | Path] = ""
    """A cassette to play in the place of `replies`; a relative path starts beside the test's file."""

    def test_its_name_fits_into_a_path(self) -> None:
        """Topologies call it by `/connector/{name}/action`."""
        assert NAME.fullmatch(self.own.name), (
            f"{self.own.name!r}: use small letters, digits and dashes, as in get-order"
        )

    def test_it_says_what_it_does(self) -> None:
        """The process editor and `actions show` show its docstring."""
        assert (self.own.__doc__ or "").strip(), f"{self.own.name} needs a docstring: what does it do, where?"

    def test_its_examples_fit_its_input(self) -> None:
        """An example that does not fit misleads whoever copies it."""
        for example in self.examples():
            try:
                self.own.read(_json(example))
            except ValueError as error:
                raise AssertionError(f"the example {example!r} does not fit: {describe(error)}") from None

    def test_it_succeeds(self) -> None:
        """With its example and the replies it goes on, with data that fit its output."""
        result = self.run(Cassette(self._tape) if self.cassette else self.answers())
        assert isinstance(result.outcome, GOES_ON), f"{type(result.outcome).__name__}: {result.reason}"
        adapter = TypeAdapter(types_of(self.own)[1])
        for message in result.messages:
            adapter.validate_json(message.body)

    @property
    def own(self) -> AnyAction:
        """The action."""
        return self.action() if inspect.isclass(self.action) else self.action

    def examples(self) -> list[Any]:
        """Return `data`, or else the examples of the input model. Raises `AssertionError` when there are none."""
        taken = types_of(self.own)[0]
        found = [self.data] if self.data is not None else schema(taken, "validation").get("examples", [])
        assert found or taken is Any, (
            f"{self.own.name} has no example: give its input model "
            'model_config = ConfigDict(json_schema_extra={"examples": [...]}), or the test class `data`'
        )
        return list(found) or [None]

    @property
    def application(self) -> type[Application] | None:
        """The action's application."""
        found: type[Application] | None = getattr(self.own, "application", None)
        return found

    def run(self, http: Transport, token_endpoint: Transport | None = None) -> ActionResult:
        """Call the action with its first example."""
        return asyncio.run(self._run(http, token_endpoint))

    async def _run(self, http: Transport, token_endpoint: Transport | None) -> ActionResult:
        data, application = self.examples()[0], self.application
        if application is None or not application.needs_install():
            return await run_action(self.own, data, user=self.user, http=http)
        user = self.user or "alice"
        async with installed(application, self.settings, user=user, token_endpoint=token_endpoint) as access:
            return await run_action(self.own, data, user=user, http=http, access=access)

    def answers(self) -> Transport:
        """Return what stands for the service when all goes well."""
        return Cassette(self._tape, mode="replay") if self.cassette else answering(*self.replies)

    @property
    def _tape(self) -> Path:
        return Path(inspect.getfile(type(self))).parent / self.cassette


class ConnectorContract(ActionContract):
    """The contract of a connector: `class TestGetOrder(ConnectorContract): action = GetOrder; replies = [...]`."""

    after_refusal: ClassVar[tuple[type, ...]] = (Trash,)
    """What may come of a reply of 400 or 404, where the action has its own meaning for it."""

    reads_replies: ClassVar[bool] = True
    """False for one that looks only at the status of the reply."""

    secrets: ClassVar[Sequence[str]] = ()
    """Secrets that are not to be seen anywhere, besides those which headers and parameters tell by their names."""

    before: ClassVar[Sequence[Any]] = ()
    """Replies that come before the one that may go wrong, such as a WSDL; `replies` start with them as well."""

    token_reply: ClassVar[Mapping[str, Any]] = {"access_token": "renewed-token-of-the-test", "token_type": "bearer"}
    """What the token endpoint answers, where the application's login has to be renewed."""

    def test_a_refusal_goes_to_the_trash_with_its_status(self) -> None:
        """A person has to see why."""
        for status in (400, 404) if self._has_token else (400, 401, 404):
            result = self.run(self.wrong(Reply(status, json={"error": "refused"})))
            assert isinstance(result.outcome, self.after_refusal), f"after {status}: {result.outcome!r}"
            if isinstance(result.outcome, Trash):
                assert str(status) in result.reason, f"the status {status} is missing in {result.reason!r}"

    def test_a_refused_token_is_renewed_once_and_the_call_sent_again(self) -> None:
        """401, where the worker looks after a token.

        Raises `SkipTest` elsewhere: there 401 is a refusal as others are.
        """
        if not self._renews:
            raise SkipTest(NOTHING_TO_RENEW)
        renewal = Renewal(self.answers(), self.token_reply)
        result = self.run(renewal.service, renewal.endpoint)
        assert renewal.count == 1, f"after 401 the token was renewed {renewal.count} times, not once"
        refused, again = renewal.sent[:2]
        assert _call(refused) == _call(again), f"after 401 {_call(again)} was sent, not {_call(refused)} again"
        assert refused.headers != again.headers, f"{_call(again)} was sent again with the token that was refused"
        went_on = isinstance(result.outcome, GOES_ON) or "cannot be sent twice" in result.reason
        assert went_on, f"with the new token: {type(result.outcome).__name__}: {result.reason}"

    def test_a_dead_login_goes_to_the_trash_with_its_cure(self) -> None:
        """401, and the token endpoint, where there is one, refuses as well; only a person helps.

        Raises `SkipTest` where there is no token.
        """
        if not self._has_token:
            raise SkipTest(NOTHING_TO_RENEW)
        refused = Reply(400, json={"error": "invalid_grant"})
        result = self.run(answering(Reply(401)), answering(refused))
        assert isinstance(result.outcome, Trash), f"with a dead login: {result.outcome!r}"
        assert "needs reconnect" in result.reason, f"the reason does not say that the login is dead: {result.reason!r}"
        assert "Cure: orchesty-worker installs" in result.reason, f"the cure is missing in {result.reason!r}"

    def test_a_used_up_limit_waits_as_long_as_the_service_says(self) -> None:
        """429 with `Retry-After`; an outcome without a time is asked for sooner."""
        headers = {"retry-after": str(int(RETRY_AFTER.total_seconds()))}
        result = self.run(self.wrong(Reply(429, headers=headers)))
        assert isinstance(result.outcome, Repeat | Limited), f"after 429: {result.outcome!r}"
        after = result.outcome.after
        assert isinstance(after, timedelta), f"not the time that the service says, but {after}: pass it on as `after`"
        assert after >= RETRY_AFTER, f"sooner than asked: {after}"

    def test_a_service_in_trouble_is_asked_again_later(self) -> None:
        """500 and a connection that breaks."""
        for reply in (Reply(500), ConnectionLost("connection lost")):
            result = self.run(self.wrong(reply))
            assert isinstance(result.outcome, Repeat | Limited), f"after {reply!r}: {result.outcome!r}"

    def test_a_reply_that_is_not_what_it_should_be_is_no_success(self) -> None:
        """A login page in the place of JSON must not count as an order."""
        page = Reply(headers={"content-type": "text/html"}, text="<html>Please log in</html>")
        outcome = self.run(self.wrong(page)).outcome
        assert not self.reads_replies or not isinstance(outcome, GOES_ON), f"a page in HTML became {outcome!r}"

    def test_secrets_stay_out_of_logs_and_trash(self) -> None:
        """Whatever the service answers."""
        for http in (self.answers(), self.wrong(Reply(403)), self.wrong(Reply(500))):
            with all_logs() as lines:
                result = self.run(http)
            known = Scrubber(self.secrets)
            for exchange in result.exchanges:
                known.learn_exchange(exchange)
            seen = [*lines, result.reason, str(result.entry and result.entry.document())]
            found = [text for text in seen if known.text(text) != text]
            assert not found, f"a secret is in: {known.text(found[0])}"

    def wrong(self, reply: Any) -> Transport:
        """Return what stands for the service when this goes wrong: a reply, or an error of the connection."""
        return answering(*self.before, reply)

    @property
    def _has_token(self) -> bool:
        return self.application is not None and isinstance(self.application.authentication, TokenAuthentication)

    @property
    def _renews(self) -> bool:
        way = self.application.authentication if self.application else None
        return isinstance(way, TokenAuthentication) and way.is_renewable


class BatchContract(ConnectorContract):
    """The contract of a batch that asks a service: `replies` are those of its pages, the last page's last."""

    def test_its_pages_come_to_an_end(self) -> None:
        """Each with another cursor than those before."""
        cursors = [outcome.next_cursor for outcome in self.run(self.answers()).outcomes if isinstance(outcome, Page)]
        assert cursors, "it returned no page"
        assert cursors[-1] is None, "the last of the replies does not end it"
        assert len(set(cursors)) == len(cursors), f"a cursor came twice: {cursors}"


def _json(data: Any) -> str:
    return TypeAdapter(Any).dump_json(data).decode()


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(NOISY) or record.levelno >= logging.ERROR:
            self.lines.append(f"{record.name} {record.getMessage()} {record.exc_info or ''}")


@contextmanager
def all_logs() -> Iterator[list[str]]:
    """Collect what a worker would log from debug up; complete when the context has ended."""
    root, handler = logging.getLogger(), _Lines()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with capture_logs() as events:
            yield handler.lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    handler.lines += [repr(event) for event in events]


class Renewal:
    """Counts renewals, and keeps what was sent to the service."""

    def __init__(self, answers: Transport, reply: Mapping[str, Any]) -> None:
        """`answers` follow once the token endpoint has given its `reply`."""
        self.count = 0
        self.sent: list[Request] = []
        self.service = answering(self._answer)
        self.endpoint = answering(self._renew)
        self._answers = answers
        self._reply = reply

    async def _answer(self, request: Request) -> Reply:
        self.sent.append(request)
        return await self._answers.send(request) if self.count else Reply(401)

    def _renew(self, _: Request) -> Reply:
        self.count += 1
        return Reply(json=self._reply)


def _call(request: Request) -> str:
    return f"{request.method} {request.url}"
