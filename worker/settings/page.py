"""Writes `docs/settings.md` from the fields of the settings."""

from worker.settings.settings import Settings, environment_names


def settings_page() -> str:
    """Return `docs/settings.md`: all settings as a table."""
    rows = ["# Settings", "", _INTRODUCTION, "", "| variable | default | meaning |", "|---|---|---|"]
    names = environment_names()
    for name, field in Settings.model_fields.items():
        shown = "" if field.default_factory or field.default in {None, ()} else f"`{field.default}`"
        rows.append(f"| `{names[name]}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


_INTRODUCTION = (
    "The worker reads its settings from the environment; options of the command line take precedence. If a value is "
    "wrong, the worker does not start: it exits with status 2 and prints one line for each wrong variable. In the "
    "user, password and options of a URL write `/ @ # ?` as `%2F %40 %23 %3F`. `make docs` writes this page from "
    "`worker/settings/settings.py`."
)
