"""SMTP: plain mail, without a vendor."""

from pydantic import Field, SecretStr

from applications.application import Application
from applications.forms import Form


class _Server(Form):
    connectionUrl: SecretStr = Field(  # noqa: N815 - the platform's spelling
        title="Connection URL", description="smtps://user:password@host"
    )


class Smtp(Application):
    """A mail server; its password is a part of the address."""

    key = "smtp"
    name = "SMTP"
    description = "Mail."
    forms = (_Server,)
