"""What ends the demonstration early."""


class DemonstrationFailed(Exception):
    """Something did not go as it must; the text says what."""
