"""What a caller did wrong, in words that the caller is told."""


class Refused(Exception):
    """The request cannot be done as it is; the text says why. Answered with status 400 unless another is named."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class UnreadablePath(Refused):
    """A part of the path means no text."""

    def __init__(self, segment: str) -> None:
        super().__init__(f"Failed to decode param '{segment}'")


class UnknownService(Refused):
    """There is no action or application of this name; in the words that the platform's SDK has for it."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"Service with name [hbpf.{kind}.{name}] does not exist!")
