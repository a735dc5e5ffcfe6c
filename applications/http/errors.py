"""Errors of calls: what the HTTP library says, in words of our own.

NeverSent             the request is wrong: sending it again does not help
ConnectionLost        no reply, or not the whole of it: send it again later
├── NotConnected      there was no connection: the service has seen nothing of the request
└── TimedOut          no reply in time
ReplyUnreadable       the reply is not what it says
├── ReplyTruncated    it ends before its end
└── HeadUnreadable    there is a reply, and not even its status can be read
"""

from typing import Final

SAFE_TO_REPEAT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that change nothing, or the same again (RFC 9110, 9.2.2). All others may do a second thing."""

CARRIED_OUT: Final = "carried out, answer not understood"
"""Why a request is not made again whose reply has come."""


class NeverSent(Exception):
    """A request is wrong; sending it again would not help."""


class ConnectionLost(Exception):
    """There was no reply, or not the whole of it."""


class NotConnected(ConnectionLost):
    """There was no connection, so that the service has seen nothing of the request."""


class TimedOut(ConnectionLost):
    """There was no reply in time."""


class ReplyUnreadable(ValueError):
    """A reply is not what its content type says, or larger than allowed."""


class ReplyTruncated(ReplyUnreadable):
    """A reply or file ends before its end."""


class HeadUnreadable(ReplyUnreadable):
    """A reply has come whose head is no HTTP, or larger than allowed: what the service did is not known."""


def too_large(max_bytes: int) -> ReplyUnreadable:
    """Return the error of a body of more bytes than may lie in memory."""
    return ReplyUnreadable(
        f"the body is larger than {max_bytes} bytes; read it with `stream`, or allow more with `max_bytes`"
    )
