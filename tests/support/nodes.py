"""Actions called as the worker calls them, without a broker."""

import json
from collections.abc import Mapping
from typing import Any

from connectors import Outcome
from connectors.action import Action
from support.visits import node, visit
from worker.actions.binding import configured
from worker.actions.local import local_call


async def outcome_of(
    action: Action[Any, Any],
    configuration: Mapping[str, Any],
    data: Any,
    *followers: str,
    body: str | None = None,
    **headers: Any,
) -> Outcome:
    """Return what a configured action makes of a message."""
    at = node(*followers, configuration=configuration)
    call = local_call(configured(action, at))
    return await call(visit(at, json.dumps(data) if body is None else body, **headers))
