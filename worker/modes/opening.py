"""Which mode the settings mean."""

from worker.modes.mode import Mode
from worker.settings.settings import ModeName, Settings


def open_mode(settings: Settings) -> Mode:
    """Return the mode of the settings. The only place that asks; all that differs is made by what it returns."""
    # Imported here: only one of them is needed.
    if settings.mode is ModeName.PLATFORM:
        from worker.modes.platform import Platform  # noqa: PLC0415 - see above

        return Platform(settings)
    from worker.modes.standalone import Standalone  # noqa: PLC0415 - see above

    return Standalone(settings)
