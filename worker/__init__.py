"""The machine room: from the broker to the action and on.

A name is imported when it is asked for: `import worker` alone loads no HTTP client and no broker.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.actions.registry import Registry
    from worker.app.process import Worker
    from worker.app.serving import ServiceProcess
    from worker.errors import StartupError, WorkerError
    from worker.pipeline.decisions import Decided, Stage, Way
    from worker.protocol.message import Visit
    from worker.settings.settings import Settings, load_settings

__all__ = [
    "Decided",
    "Registry",
    "ServiceProcess",
    "Settings",
    "Stage",
    "StartupError",
    "Visit",
    "Way",
    "Worker",
    "WorkerError",
    "load_settings",
]

_MODULES = {
    "Decided": "worker.pipeline.decisions",
    "Stage": "worker.pipeline.decisions",
    "Visit": "worker.protocol.message",
    "Way": "worker.pipeline.decisions",
    "Registry": "worker.actions.registry",
    "Settings": "worker.settings.settings",
    "StartupError": "worker.errors",
    "ServiceProcess": "worker.app.serving",
    "Worker": "worker.app.process",
    "WorkerError": "worker.errors",
    "load_settings": "worker.settings.settings",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_MODULES[name]), name)
    except (ImportError, AttributeError) as error:
        from orchesty_worker import explain_shadowing  # noqa: PLC0415 - only when something is wrong

        if (explanation := explain_shadowing()) is not None:
            raise ImportError(explanation) from error
        raise


def __dir__() -> list[str]:
    return sorted(_MODULES)
