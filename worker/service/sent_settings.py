"""Settings as the platform's editor sends them: every field of a tab, as text.

A stored password that nobody touched comes as "true", an unset one as ""; checkboxes come as "true" and "false",
numbers as text, and what is empty as "".
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from applications.forms import FieldFacts, FormFacts
from worker.service.errors import Refused

_CHECKED: Final = {"true": True, "false": False, "1": True, "0": False, "on": True, "": False}


def as_typed(facts: Sequence[FormFacts], sent: object) -> dict[str, dict[str, Any]]:
    """Return what was sent of these forms, with the types of their fields. Raises `Refused` for what is no settings."""
    if not isinstance(sent, dict | list):
        raise Refused("the settings must be an object: {form: {field: value}}")
    given = sent if isinstance(sent, dict) else {}
    wrong = [form.key for form in facts if not isinstance(given.get(form.key, {}), dict | list)]
    if wrong:
        raise Refused(f"the settings of {', '.join(wrong)} must be an object: {{field: value}}")
    return {form.key: _fields(form, own) for form in facts if isinstance(own := given.get(form.key), dict)}


def names_others(facts: Sequence[FormFacts], sent: object) -> bool:
    """Whether a form was sent with fields that it does not declare: the application may have added them."""
    given = sent if isinstance(sent, dict) else {}
    return any(
        own.keys() - {field.key for field in form.fields}
        for form in facts
        if isinstance(own := given.get(form.key), dict)
    )


def _fields(form: FormFacts, given: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.key: field for field in form.fields}
    typed = {key: _typed(known[key], value) for key, value in given.items() if key in known}
    return {key: value for key, value in typed.items() if value is not _UNTOUCHED}


_UNTOUCHED: Final = object()


def _typed(field: FieldFacts, value: Any) -> Any:
    if field.is_secret:
        return _UNTOUCHED if value in (True, False, "true", "", None) else value
    if not isinstance(value, str):
        return value
    match field.type:
        case "checkbox":
            return _CHECKED.get(value.lower(), value)
        case "number" | "url" | "selectbox" if not value:
            return None
        case "multiselect":
            return _chosen(value)
    return value


def _chosen(value: str) -> Any:
    with suppress(ValueError):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]
