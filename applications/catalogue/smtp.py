"""SMTP: plain mail, without a vendor."""

from applications.application import Application


class Smtp(Application):
    """A mail server; the install's field `connectionUrl` is `smtps://user:password@host`."""

    key = "smtp"
