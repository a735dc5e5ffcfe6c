"""Mail over SMTP, handed in at a server on loopback."""

import asyncio
import base64
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from support.calls import data_of

from applications.catalogue.smtp import Smtp
from connectors import Forward, Repeat, Trash
from connectors.catalogue.smtp import SendEmail
from connectors.mail import MailServer
from worker.testing import installed, run_action

MAIL = {"from": "Shop <shop@example.org>", "to": "ann@example.org, Bob <bob@example.org>", "subject": "Žluťoučký"}


class Post:
    """A mail server that refuses what it is told to."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refused: dict[str, str] = {}
        self.at_the_end = "250 OK"
        self.logins: list[Any] = []
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - the server's name for it
        self, _: Any, __: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Envelope) -> str:  # noqa: N802 - as above
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail: Any = message_from_bytes(content, policy=default)
        if self.at_the_end.startswith("250"):
            self.mails.append((envelope.rcpt_tos, mail))
        return self.at_the_end

    def login(self, _: Any, __: Any, ___: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else data)
        return AuthResult(success=True)

    def protocol(self) -> SMTP:
        return SMTP(self, authenticator=self.login, auth_require_tls=False, enable_SMTPUTF8=True)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    made = Post()
    server = await asyncio.get_running_loop().create_server(made.protocol, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def outcome_of(post: Any, mail: Any, url: str = "smtp://ann%40x:hunter2@127.0.0.1:{port}") -> Any:
    async with installed(Smtp, {"connectionUrl": url.format(port=post.port)}) as access:
        return (await run_action(SendEmail, mail, user="alice", headers={"process-id": "p1"}, access=access)).outcome


async def test_a_mail_arrives_with_all_its_parts(post: Any) -> None:
    attachment = {"filename": "a.txt", "content": base64.b64encode(b"hello").decode(), "contentType": "text/plain"}
    more = {"text": "plain", "html": "<b>rich</b>", "bcc": ["eve@example.org"], "replyTo": "desk@example.org"}
    outcome = await outcome_of(post, {**MAIL, **more, "attachments": [attachment]})
    assert data_of(outcome)["rejected"] == {}
    ((recipients, mail),) = post.mails
    assert recipients == ["ann@example.org", "bob@example.org", "eve@example.org"]
    assert (mail["subject"], mail["reply-to"], mail["bcc"]) == ("Žluťoučký", "desk@example.org", None)
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/plain",
    ]
    assert next(mail.iter_attachments()).get_content() == "hello"
    assert post.logins == [("ann@x", "hunter2")]


async def test_a_mail_that_is_sent_again_has_the_same_id(post: Any) -> None:
    for _ in range(2):
        assert isinstance(await outcome_of(post, MAIL), Forward)
    first, second = (mail["message-id"] for _, mail in post.mails)
    assert first == second


async def test_some_refused_recipients_are_named_and_the_others_have_got_it(post: Any) -> None:
    post.refused = {"bob@example.org": "550 no such user"}
    assert data_of(await outcome_of(post, MAIL))["rejected"] == {"bob@example.org": "550 no such user"}
    assert post.mails[0][0] == ["ann@example.org"]


@pytest.mark.parametrize(("refusal", "kind"), [("451 try later", Repeat), ("550 spam", Trash), ("554 policy", Trash)])
async def test_what_the_server_answers_decides(post: Any, refusal: str, kind: type) -> None:
    post.at_the_end = refusal
    outcome = await outcome_of(post, MAIL)
    assert isinstance(outcome, kind)
    assert refusal in outcome.reason
    post.refused = dict.fromkeys(("ann@example.org", "bob@example.org"), refusal)
    assert isinstance(await outcome_of(post, MAIL), kind)


async def test_a_server_that_is_away_is_asked_again(post: Any) -> None:
    outcome = await outcome_of(post, MAIL, "smtp://ann:hunter2@127.0.0.1:1")
    assert isinstance(outcome, Repeat)
    assert "mail to 127.0.0.1" in outcome.reason


@pytest.mark.parametrize("url", ["hunter2", "http://hunter2"])
async def test_an_address_that_is_none_is_refused_without_showing_it(post: Any, url: str) -> None:
    outcome = await outcome_of(post, MAIL, url)
    assert isinstance(outcome, Trash)
    assert "smtp://user:password@host:port" in outcome.reason
    assert "hunter2" not in outcome.reason
    assert "hunter2" not in repr(MailServer(url))


async def test_a_mail_of_a_user_who_has_not_installed_a_server_is_not_sent(post: Any) -> None:
    async with installed(Smtp) as access:
        result = await run_action(SendEmail, MAIL, user="bob", access=access)
    assert "user 'bob' has not installed smtp" in result.reason


async def test_a_line_break_cannot_add_a_header(post: Any) -> None:
    outcome = await outcome_of(post, {**MAIL, "subject": "Hi\r\nBcc: everybody@example.org"})
    assert isinstance(outcome, Trash)
    assert post.mails == []
