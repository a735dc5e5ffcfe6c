"""The machine room: from the broker to the action and on."""

from worker.errors import StartupError, WorkerError
from worker.process import Worker
from worker.registry import Registry
from worker.settings import Settings, load_settings

__all__ = ["Registry", "Settings", "StartupError", "Worker", "WorkerError", "load_settings"]
