"""The kinds of action, apart from the actions: the reading of a topology needs nothing else of them."""

from enum import StrEnum


class Kind(StrEnum):
    """The kinds of action, spelled as in an action's path."""

    CONNECTOR = "connector"
    CUSTOM_NODE = "custom-node"
    BATCH = "batch"
