"""Stages of the user's own: found by name, and kept from stopping the worker."""

from collections.abc import Iterable, Sequence
from importlib import import_module

import structlog

from connectors import Forward, Page, Trash
from connectors.outcome import Verdict, as_value
from worker.actions.errors import describe
from worker.actions.outcomes import is_ours
from worker.errors import HandBack, SettingsError
from worker.limits.gate import Held
from worker.pipeline.decisions import Cancelled, Decided, Stage, UserTask, Way
from worker.protocol.message import Visit, encode

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
    """Return the stage, whose errors put the message into the trash instead of ending the worker.

    A verdict that it raises is what it decides. Errors of what it calls are not its own, and pass.
    """

    async def guarded_stage(visit: Visit, call_next: Way) -> Decided:
        passed: list[BaseException] = []

        async def noted(changed: Visit) -> Decided:
            try:
                return await call_next(changed)
            except BaseException as error:
                passed.append(error)
                raise

        try:
            return _checked(await stage(visit, noted))
        except Verdict as verdict:
            return Decided(visit, as_value(verdict))
        except BaseException as error:
            if isinstance(error, HandBack) or is_ours(error) or any(error is other for other in passed):
                raise
            log.exception("stage_failed", stage=_name(stage), consequence="the message goes to the trash")
            return Decided(visit, Trash(f"the stage {_name(stage)} failed: {describe(error)}"))

    return guarded_stage


def _checked(decided: object) -> Decided:
    """Return what can be carried out. Raises `TypeError` for anything else."""
    if not isinstance(decided, Decided):
        raise TypeError(f"it returned {type(decided).__name__}, not Decided")
    visit, decision = decided.visit, decided.decision
    if not isinstance(visit, Visit):
        raise TypeError(f"it decided about {type(visit).__name__}, not a Visit")
    encode(visit.headers, visit.body)  # else neither a follower nor the trash could have it
    if isinstance(decision, Verdict):
        return Decided(visit, as_value(decision))
    if not isinstance(decision, Forward | Page | Held | UserTask | Cancelled):
        raise TypeError(f"it decided {type(decision).__name__}, which is not an outcome")
    return decided


def _name(stage: Stage) -> str:
    return getattr(stage, "__qualname__", type(stage).__qualname__)
