"""Stages of the user's own: found by name, and kept from stopping the worker."""

from collections.abc import Iterable, Sequence
from importlib import import_module

import structlog

from connectors import Trash
from worker.actions.errors import describe
from worker.errors import HandBack, SettingsError
from worker.pipeline.decisions import Decided, Stage, Way
from worker.protocol.message import Visit

log = structlog.get_logger()


def load_stages(names: Iterable[str]) -> Sequence[Stage]:
    """Return the stages that these names, `module:name`, stand for. Raises `SettingsError` for one that is missing."""
    return [_load(name) for name in names]


def _load(name: str) -> Stage:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute or "stage")
    except Exception as error:  # importing runs somebody's code, which may raise anything
        raise SettingsError(
            f"WORKER_STAGES: cannot load {name!r}: {type(error).__name__}: {error}. Name it as module:name; the module "
            "has to be on PYTHONPATH."
        ) from error
    if not callable(found):
        raise SettingsError(f"WORKER_STAGES: {name!r} cannot be called; a stage is async def stage(visit, call_next)")
    stage: Stage = found
    return stage


def guarded(stage: Stage) -> Stage:
    """Return the stage, whose errors put the message into the trash instead of ending the worker."""

    async def guarded_stage(visit: Visit, call_next: Way) -> Decided:
        try:
            decided = await stage(visit, call_next)
        except HandBack:
            raise
        except Exception as error:
            log.exception("stage_failed", stage=_name(stage), consequence="the message goes to the trash")
            return Decided(visit, Trash(f"the stage {_name(stage)} failed: {describe(error)}"))
        if isinstance(decided, Decided):
            return decided
        return Decided(visit, Trash(f"the stage {_name(stage)} returned {type(decided).__name__}, not Decided"))

    return guarded_stage


def _name(stage: Stage) -> str:
    return getattr(stage, "__qualname__", type(stage).__qualname__)
