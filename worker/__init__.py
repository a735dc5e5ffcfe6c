"""The machine room: from the broker to the action and on."""

try:
    from worker.actions.registry import Registry
    from worker.app.process import Worker
    from worker.errors import StartupError, WorkerError
    from worker.settings.settings import Settings, load_settings
except (ImportError, AttributeError) as error:
    from orchesty_worker import explain_shadowing

    if (explanation := explain_shadowing()) is not None:
        raise ImportError(explanation) from error
    raise

__all__ = ["Registry", "Settings", "StartupError", "Worker", "WorkerError", "load_settings"]
