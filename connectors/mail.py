"""Mail over SMTP: one message per connection, and outcomes as for HTTP.

aiosmtplib is imported when the first mail is sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote, urlsplit

from connectors.outcome import Repeat, Trash
from connectors.rules import DEFAULT_REPEAT

SECONDS: Final = 25
"""For a whole mail; below the 30 s that a node allows by default."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in: `smtps://user:password@host:465`, or `smtp://` with TLS where the server offers it."""

    url: str = field(repr=False)

    def options(self) -> dict[str, object]:
        """Return what the SMTP client needs. Raises `ValueError` for what is no such URL, without showing it."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("a mail server is written as smtp://user:password@host:port or smtps://...")
        return {
            "hostname": parts.hostname,
            "port": parts.port or (465 if parts.scheme == "smtps" else 587),
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "use_tls": parts.scheme == "smtps",
        }


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a mail."""

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"


def write_mail(
    *,
    sender: str,
    to: Sequence[str],
    subject: str,
    message_id: str,
    text: str = "",
    html: str = "",
    cc: Sequence[str] = (),
    reply_to: str | None = None,
    attachments: Sequence[Attachment] = (),
) -> EmailMessage:
    """Return the mail. Raises `ValueError` for a line break in a header, which would add headers of somebody else's."""
    mail = EmailMessage(policy=SMTP)
    headers = {"From": sender, "To": ", ".join(to), "Cc": ", ".join(cc), "Reply-To": reply_to or "", "Subject": subject}
    for name, value in headers.items():
        if value:
            mail[name] = value
    mail["Message-ID"], mail["Date"] = f"<{message_id}>", formatdate(usegmt=True)
    if text or not html:
        mail.set_content(text)
    if html and text:
        mail.add_alternative(html, subtype="html")
    elif html:
        mail.set_content(html, subtype="html")
    for attachment in attachments:
        main, _, sub = attachment.content_type.partition("/")
        mail.add_attachment(attachment.content, maintype=main, subtype=sub, filename=attachment.filename)
    return mail


async def send_mail(server: MailServer, mail: EmailMessage, recipients: Sequence[str]) -> Mapping[str, str]:
    """Hand the mail in, and return the recipients that the server refuses, with its words.

    Raises `Repeat` for a server that is away or busy (4xx), `Trash` for a refusal (5xx), also when all
    recipients are refused.
    """
    import aiosmtplib  # noqa: PLC0415 - see above

    options = server.options()
    where = f"mail to {options['hostname']}"
    try:
        refused, _ = await aiosmtplib.send(mail, recipients=list(recipients), timeout=SECONDS, **options)  # type: ignore[arg-type]  # by name
    except aiosmtplib.SMTPRecipientsRefused as error:
        codes = [recipient.code for recipient in error.recipients]
        reason = f"{where}: {'; '.join(f'{one.recipient}: {one.code} {one.message}' for one in error.recipients)}"
        raise _outcome(max(codes), reason) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _outcome(error.code, f"{where}: {error.code} {error.message}") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Repeat(DEFAULT_REPEAT, f"{where}: {type(error).__name__}: {error}") from error
    return {recipient: f"{code} {text}" for recipient, (code, text) in refused.items()}


def _outcome(code: int, reason: str) -> Repeat | Trash:
    """4yz: try again later; 5yz: do not (RFC 5321, 4.2.1)."""
    return Repeat(DEFAULT_REPEAT, reason) if 400 <= code < 500 else Trash(reason)  # noqa: PLR2004
