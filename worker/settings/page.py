"""Writes `docs/settings.md` from the fields of the settings."""

from worker.settings.settings import Settings, environment_names


def settings_page() -> str:
    """Return `docs/settings.md`: all settings as a table."""
    rows = ["# Settings", "", _INTRODUCTION, "", "| variable | default | meaning |", "|---|---|---|"]
    names = environment_names()
    for name, field in Settings.model_fields.items():
        shown = "" if field.default in {None, ()} else f"`{field.default}`"
        rows.append(f"| `{names[name]}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


_INTRODUCTION = (
    "Read from the environment; options of the command line win. A wrong value ends the start with status 2 and one "
    "line for each variable. In the user, password and options of a URL, `/ @ # ?` are written `%2F %40 %23 %3F`. This "
    "page is written by `make docs` from `worker/settings/settings.py`."
)
