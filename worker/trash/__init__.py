"""The trash and the user tasks: kept before the message is acknowledged, until a person decides."""
