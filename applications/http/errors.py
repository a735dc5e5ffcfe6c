"""Errors of replies."""


class ReplyUnreadable(ValueError):
    """A reply is not what its content type says, or larger than allowed."""


class ReplyTruncated(ReplyUnreadable):
    """A reply or file ends before its end."""
