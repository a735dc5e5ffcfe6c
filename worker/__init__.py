"""The machine room: from the broker to the action and on.

A name is imported when it is asked for: `import worker` alone loads no HTTP client and no broker.
"""

from typing import TYPE_CHECKING

from applications.lazy import lazily

if TYPE_CHECKING:
    from worker.actions.registry import Registry
    from worker.app.process import Worker
    from worker.errors import StartupError, WorkerError
    from worker.pipeline.decisions import Decided, Stage, Way
    from worker.protocol.message import Visit
    from worker.settings.settings import Settings, load_settings

__all__ = [
    "Decided",
    "Registry",
    "Settings",
    "Stage",
    "StartupError",
    "Visit",
    "Way",
    "Worker",
    "WorkerError",
    "load_settings",
]

if not TYPE_CHECKING:  # else any name would pass the type checker
    _find = lazily(
        __name__,
        {
            "worker.actions.registry": ("Registry",),
            "worker.app.process": ("Worker",),
            "worker.errors": ("StartupError", "WorkerError"),
            "worker.pipeline.decisions": ("Decided", "Stage", "Way"),
            "worker.protocol.message": ("Visit",),
            "worker.settings.settings": ("Settings", "load_settings"),
        },
    )

    def __getattr__(name: str) -> object:
        try:
            return _find(name)
        except (ImportError, AttributeError) as error:
            if name not in __all__:
                raise
            from orchesty_worker import explain_shadowing  # noqa: PLC0415 - only when something is wrong

            if (explanation := explain_shadowing()) is not None:
                raise ImportError(explanation) from error
            raise


def __dir__() -> list[str]:
    return sorted(__all__)
