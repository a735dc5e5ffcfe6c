"""Whether an answer is the one that was recorded.

Status, content type and JSON have to be the same. Ids, times and tokens differ from run to run. Where the recorded
service shows a defect, a rule says what is right instead; `docs/compatibility.md` has these rules with their reasons.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .rules import RULES, Answered, Case, dict_of, read_json, was_answered


def difference(case: Case, answer: Answered) -> str:
    """Return what differs; empty when nothing does that should not."""
    if any(rule(case, answer) for rule in RULES):
        return ""
    recorded = case["response"]
    if not was_answered(case):
        return f"status {answer.status}, where the recorded process ended"
    if recorded["status"] != answer.status:
        return f"status {answer.status}, not {recorded['status']}: {answer.text[:200]}"
    wanted, found = _type(dict_of(recorded["headers"]).get("content-type", "")), _type(answer.content_type)
    if wanted != found:
        return f"content type {found}, not {wanted}"
    emptied = _emptied_secrets(case)
    return _compared(_without_values(recorded["body"] or "", emptied), _without_values(answer.text, emptied))


def _emptied_secrets(case: Case) -> Sequence[tuple[str, str]]:
    """Return form and field of values that were sent and are no secrets here, but were: what is empty, and "true"."""
    sent = read_json(case["request"]["body"])
    if not case["request"]["path"].endswith("/settings") or not isinstance(sent, dict):
        return ()
    forms = [(key, form) for key, form in sent.items() if isinstance(form, dict)]
    return [(key, field) for key, form in forms for field, value in form.items() if value in ("", None, False, "true")]


def _without_values(text: str, fields: Sequence[tuple[str, str]]) -> str:
    """Return the answer without the values of these fields, if they are secrets."""
    data = read_json(text)
    if not fields or not isinstance(data, dict):
        return text
    for form, field in fields:
        for one in data.get("applicationSettings", {}).get(form, {}).get("fields", ()):
            if one["key"] == field and one["type"] == "password":
                one.pop("value")
    return json.dumps(data)


_SAME_ERRORS = tuple(
    (re.compile(theirs), re.compile(ours))
    for theirs, ours in (
        (r"JSON|Unterminated string", r"JSON|must be|filter"),
        (r"Cannot (read|convert|destructure)|Cannot use 'in'|is not (a function|iterable)|^undefined", r"\w"),
        (r"ECONNREFUSED|ENOTFOUND|EAI_AGAIN|socket hang up|Maximum number of redirects", r"\w"),
        (r"Invalid URL|Unsupported protocol", r"\w"),
        (r"^status: \d+, body: ", r" answered \d+"),
        (r"Failed to decode param", r"Failed to decode param"),
        (r"Token is not received", r"oauth/token answered 200"),
        (r"not JSON compatible", r"JSON|oauth/token answered"),
        (r"simple-oauth2|The first argument must be|must be a string|must be one of|Response Error", r"\w"),
        (
            r"Unknown exception|stub failure|Invalid HMAC|Unknown crypt|Unknown prefix",
            r"worker-api|cannot be read|secret",
        ),
    )
)
"""Words of JavaScript and its libraries, with ours for the same errors."""
_STACK = re.compile(r"$|undefined$|\w*(Error|Exception): ")
"""What followed the text of an error."""
_OBJECT_ID = re.compile("[0-9a-f]{24}")
_PREFIX = "Error occurred: "
_TIMES = frozenset({"created", "update", "expires"})
"""Recorded as "Invalid DateTime": ours are times."""


def _compared(recorded: str, ours: str) -> str:
    wanted, found = read_json(recorded), read_json(ours)
    if wanted is None or found is None:
        return "" if recorded == ours else f"{ours[:200]!r}, not {recorded[:200]!r}"
    return _differs(wanted, found, "$")


def _differs(wanted: Any, found: Any, place: str) -> str:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return _dicts(wanted, found, place)
    if _are_methods(wanted, place) and isinstance(found, list):
        return "" if set(found) == set(wanted) - LISTED_ONLY else f"{place}: {found!r}, not {wanted!r}"
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        wanted, found = (_in_order(some) for some in (wanted, found))
        pairs = enumerate(zip(wanted, found, strict=True))
        parts = (_differs(one, other, f"{place}[{at}]") for at, (one, other) in pairs)
        return next(filter(None, parts), "")
    return "" if _is_same(wanted, found, place) else f"{place}: {found!r}, not {wanted!r}"


def _in_order(values: list[Any]) -> list[Any]:
    """Return installs by their applications: the order in which they were stored was none that anybody chose."""
    are_installs = all(isinstance(one, dict) and "nonEncryptedSettings" in one for one in values)
    return sorted(values, key=lambda one: str(one["key"])) if are_installs else values


LISTED_ONLY = frozenset({"capital", "x", "hronize"})
"""Synchronous methods that were listed, but could not be called."""


def _dicts(wanted: Mapping[str, Any], found: Mapping[str, Any], place: str) -> str:
    for name in dict.fromkeys([*wanted, *found]):
        if _is_ours(name, wanted, found, place):
            continue
        if name not in found or name not in wanted:
            return f"{place}.{name}: {'missing' if name not in found else f'{found[name]!r} is too much'}"
        if said := _differs(wanted[name], found[name], f"{place}.{name}"):
            return said
    return ""


def _is_ours(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any], place: str) -> bool:
    """Whether this value may be another one here."""
    recorded, ours = wanted.get(name), found.get(name)
    match name:
        case "limiter_form":  # it was lost with the choices of a service that failed; ours stays
            return name not in wanted and place.endswith("applicationSettings")
        case "default":  # no event of ours has a topology of its own
            return "topology" in wanted
        case "topology":  # as above
            return wanted.get("default") is True and not wanted.get("enabled")
        case "nonEncryptedSettings":  # none are an empty list in PHP
            return not recorded and ours == {}
        case "fields":  # forms that nobody may change were changed
            return wanted.get("readOnly") is True
        case "body":  # what is undefined there has no text here
            return recorded is None and ours in (None, "")
        case "headers":  # an item has headers, if only none
            return name in wanted and "body" in wanted and (recorded, ours) == (None, {})
    return False


def _are_methods(wanted: object, place: str) -> bool:
    """Whether this is a list of synchronous methods; it was sorted by their classes, with some twice."""
    return isinstance(wanted, list) and (place.endswith("syncMethods") or "afterInstallCallback" in wanted)


def _is_same(wanted: Any, found: Any, place: str) -> bool:
    name = place.rpartition(".")[2]
    if name == "id" and isinstance(wanted, str) and _OBJECT_ID.fullmatch(wanted):
        return isinstance(found, str) and _OBJECT_ID.fullmatch(found) is not None
    if name in _TIMES and place.count(".") <= 3:
        return wanted is None or isinstance(found, str)
    if isinstance(wanted, str) and isinstance(found, str):
        return _same_text(wanted, found, name)
    if name == "enabled" and not isinstance(wanted, bool):
        return isinstance(found, bool)  # any value was stored, and shown
    if name == "raw" and isinstance(found, str) and not isinstance(wanted, str):
        return bool(read_json(found) == wanted)  # an action gets text, whatever it was
    if name == "value" and wanted == "" and found is None:
        return True  # what is empty is nothing
    if name == "value" and isinstance(wanted, str) and isinstance(found, bool | int | float):
        return bool(read_json(wanted) == found)  # settings have the types of their fields
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return float(wanted) == float(found)  # large ones were rounded there
    return bool(wanted == found)


def _same_text(wanted: str, found: str, name: str) -> bool:
    if wanted == found:
        return True
    if name in {"message", "result-message"}:
        return _same_message(wanted, found)
    if name == "result-detail":
        return bool(found)
    if name == "authorizeUrl":
        return bool(_without_state(wanted) == _without_state(found))
    inner, ours = read_json(wanted), read_json(found)
    return inner is not None and not isinstance(inner, str) and ours is not None and not _differs(inner, ours, "$")


def _same_message(wanted: str, found: str) -> bool:
    """A stack may follow what was recorded; the words of JavaScript are not ours."""
    if not found.startswith(_PREFIX) or not wanted.startswith(_PREFIX):
        return False
    said, ours = wanted.removeprefix(_PREFIX), found.removeprefix(_PREFIX)
    if any(theirs.search(said) and own.search(ours) for theirs, own in _SAME_ERRORS):
        return True
    told, found = _without_stack(wanted), _without_stack(found)
    return told.startswith(found) and _STACK.match(told.removeprefix(found)) is not None


def _without_stack(message: str) -> str:
    return message.partition(", Stack: ")[0]


def _without_state(url: str) -> Any:
    parts = urlsplit(url)
    return parts._replace(query=""), [pair for pair in parse_qsl(parts.query) if pair[0] != "state"]


def _type(content_type: str) -> str:
    return content_type.partition(";")[0].strip()
