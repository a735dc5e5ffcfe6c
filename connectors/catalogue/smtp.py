"""Mail over SMTP, with the fields that nodemailer has."""

from email.utils import getaddresses
from uuid import NAMESPACE_URL, uuid5

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from applications.catalogue.smtp import Smtp
from connectors.action import Connector
from connectors.mail import Attachment, MailServer, send_mail, write_mail
from connectors.message import Message


class AttachedFile(BaseModel):
    """A file; its content as base64."""

    filename: str
    content: Base64Bytes
    contentType: str = "application/octet-stream"  # noqa: N815 - nodemailer's name


class Mail(BaseModel):
    """A mail; addresses as `ann@example.org` or `Ann <ann@example.org>`, one or a list."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={"examples": [{"from": "shop@example.org", "to": "ann@example.org", "subject": "Thanks"}]},
    )

    sender: str = Field(alias="from")
    to: str | list[str]
    subject: str
    text: str = ""
    html: str = ""
    cc: str | list[str] = []
    bcc: str | list[str] = []
    replyTo: str | None = None  # noqa: N815 - nodemailer's name
    attachments: list[AttachedFile] = []


class Sent(BaseModel):
    """What became of a mail."""

    messageId: str  # noqa: N815 - nodemailer's name
    rejected: dict[str, str] = {}
    """Recipients that the server refuses, with its words; the others have got it."""


class SendEmail(Connector[Mail, Sent]):
    """Sends a mail. Sent again after a crash, it has the same `Message-ID`, by which mailboxes tell copies."""

    name = "smtp-send-email"
    application = Smtp

    async def process(self, message: Message[Mail]) -> Message[Sent]:
        """Hand the mail in."""
        mail, access = message.data, await self.access()
        to, cc, bcc = (_listed(addresses) for addresses in (mail.to, mail.cc, mail.bcc))
        ids = f"{message.headers.get('node-id')}/{message.headers.get('process-id')}"
        message_id = f"{uuid5(NAMESPACE_URL, ids)}@orchesty"
        content = write_mail(
            sender=mail.sender,
            to=to,
            cc=cc,
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            reply_to=mail.replyTo,
            message_id=message_id,
            attachments=[Attachment(one.filename, one.content, one.contentType) for one in mail.attachments],
        )
        recipients = [address for _, address in getaddresses([*to, *cc, *bcc])]
        rejected = await send_mail(MailServer(access.fields.get("connectionUrl", "")), content, recipients)
        return message.with_data(Sent(messageId=message_id, rejected=dict(rejected)))


def _listed(addresses: str | list[str]) -> list[str]:
    return [addresses] if isinstance(addresses, str) else addresses
