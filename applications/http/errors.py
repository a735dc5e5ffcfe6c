"""Errors of replies."""


class ReplyUnreadable(ValueError):
    """A reply is not what its content type says, or larger than allowed."""


class ReplyTruncated(ReplyUnreadable):
    """A reply or file ends before its end."""


def too_large(max_bytes: int) -> ReplyUnreadable:
    """Return the error of a body of more bytes than may lie in memory."""
    return ReplyUnreadable(
        f"the body is larger than {max_bytes} bytes; read it with `stream`, or allow more with `max_bytes`"
    )
