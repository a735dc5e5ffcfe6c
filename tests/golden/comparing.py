"""Whether an answer is the one that was recorded.

Status, content type and JSON have to be the same. Ids, times and tokens differ from run to run. Where the recorded
service shows a defect, a rule says what is right instead; `docs/compatibility.md` has these rules with their reasons.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Case = Mapping[str, Any]


@dataclass(frozen=True)
class Answered:
    """What our service has answered."""

    status: int
    content_type: str
    text: str

    @property
    def data(self) -> Any:
        """The JSON, None for what is none."""
        return _json(self.text)


def difference(case: Case, answer: Answered) -> str:
    """Return what differs; empty when nothing does that should not."""
    if any(rule(case, answer) for rule in RULES):
        return ""
    recorded = case["response"]
    if not _was_answered(case):
        return f"status {answer.status}, where the recorded process ended"
    if recorded["status"] != answer.status:
        return f"status {answer.status}, not {recorded['status']}: {answer.text[:200]}"
    wanted, found = _type(dict_of(recorded["headers"]).get("content-type", "")), _type(answer.content_type)
    if wanted != found:
        return f"content type {found}, not {wanted}"
    emptied = _emptied_secrets(case)
    return _compared(_without_values(recorded["body"] or "", emptied), _without_values(answer.text, emptied))


def _emptied_secrets(case: Case) -> Sequence[tuple[str, str]]:
    """Return form and field of empty values that were sent: an empty secret was one, ours is none."""
    sent = _json(case["request"]["body"])
    if not case["request"]["path"].endswith("/settings") or not isinstance(sent, dict):
        return ()
    forms = [(key, form) for key, form in sent.items() if isinstance(form, dict)]
    return [(key, field) for key, form in forms for field, value in form.items() if value in ("", None, False)]


def _without_values(text: str, fields: Sequence[tuple[str, str]]) -> str:
    """Return the answer without the values of these fields, if they are secrets."""
    data = _json(text)
    if not fields or not isinstance(data, dict):
        return text
    for form, field in fields:
        for one in data.get("applicationSettings", {}).get(form, {}).get("fields", ()):
            if one["key"] == field and one["type"] == "password":
                one.pop("value")
    return json.dumps(data)


def dict_of(headers: list[list[str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _was_answered(case: Case) -> bool:
    return bool((case["response"] or {}).get("status"))


def nothing_recorded(case: Case, answer: Answered) -> bool:
    """JSON that is none ended the recorded process: ours says 400."""
    return not _was_answered(case) and answer.status == 400


def page_for_envelope(case: Case, answer: Answered) -> bool:
    """An error within the handling of an error gave a page of HTML: ours is an envelope with a verdict."""
    recorded = case["response"]
    if not _was_answered(case):
        return False
    is_page = "text/html" in dict_of(recorded["headers"]).get("content-type", "")
    is_call = re.fullmatch(r"/(connector|batch|custom-node)/[^/]+/(action|process)", case["request"]["path"])
    data = answer.data
    is_envelope = isinstance(data, dict) and "result-code" in (data.get("headers") or {})
    return bool(is_page and is_call and case["request"]["method"] == "POST" and is_envelope)


def headers_of_array(case: Case, answer: Answered) -> bool:
    """Headers that are an array lost the verdict: ours takes them for none."""
    recorded, data = _json((case["response"] or {}).get("body")), answer.data
    was_array = isinstance(recorded, dict) and isinstance(recorded.get("headers"), list)
    return was_array and isinstance(data, dict) and (data.get("headers") or {}).get("result-code") == "0"


NOT_OURS = "not issued here"


def state_is_checked(case: Case, answer: Answered) -> bool:
    """A login failed for another reason than its state, which was not looked at: ours is refused before."""
    is_callback = case["request"]["path"].partition("?")[0].endswith("/authorize/token")
    has_failed = (case["response"] or {}).get("status") == 400
    return is_callback and has_failed and answer.status == 400 and NOT_OURS in answer.text


def login_leads_back(case: Case, answer: Answered) -> bool:
    """The page was lost when somebody saved settings during a login: ours leads back to it."""
    is_callback = case["request"]["path"].partition("?")[0].endswith("/authorize/token")
    data = answer.data
    was_lost = (case["response"] or {}).get("body") == "{}"
    return is_callback and was_lost and answer.status == 200 and isinstance(data, dict) and bool(data["redirectUrl"])


def list_stays_complete(case: Case, answer: Answered) -> bool:
    """One install that cannot be decrypted ended the list of all: ours says of it that it is not authorized."""
    is_list = re.match(r"/applications/users/", case["request"]["path"]) is not None
    return is_list and (case["response"] or {}).get("status") == 400 and answer.status == 200


def user_is_named(case: Case, answer: Answered) -> bool:
    """A message without a user got the install of any: ours is told to name one."""
    request, data = _json(case["request"]["body"]), answer.data
    headers = request.get("headers") if isinstance(request, dict) else None
    has_user = isinstance(headers, dict) and bool(headers.get("user"))
    is_told = isinstance(data, dict) and "User not defined" in str((data.get("headers") or {}).get("result-message"))
    return not has_user and is_told and answer.status == 400


def client_is_checked(case: Case, answer: Answered) -> bool:
    """A login began without a client, and not with one of other characters than ASCII: ours is the other way round."""
    recorded = case["response"] or {}
    is_begin = case["request"]["path"].partition("?")[0].endswith("/authorize")
    began_without = recorded.get("status") == 200 and answer.status == 400 and " lacks " in answer.text
    began_with = answer.status == 200 and "client.id" in str(recorded.get("body"))
    return is_begin and (began_without or began_with)


def plus_is_a_plus(case: Case, answer: Answered) -> bool:
    """A user with a plus got the install of the one with a blank."""
    return "%2B" in case["request"]["path"] and answer.status == 400 and "has not been found" in answer.text


def limit_is_complete(case: Case, answer: Answered) -> bool:
    """A limit without numbers above 0 was taken, and was none: ours says what it needs."""
    words = r"limiter_form\.\w+: (needed with useLimit|Input should be greater than 0)"
    return answer.status == 400 and re.search(words, answer.text) is not None


def settings_are_checked(case: Case, answer: Answered) -> bool:
    """A value that its field cannot have was stored: ours names the field."""
    path, sent, data = case["request"]["path"], _json(case["request"]["body"]), answer.data
    if not path.endswith(("/settings", "/password")) or not isinstance(sent, dict) or answer.status != 400:
        return False
    if path.endswith("/password"):
        sent = {str(sent.get("formKey")): {str(sent.get("fieldKey")): sent.get("password")}}
    named = re.findall(r"(?:occurred: |; )(\w+)\.(\w+): ", str(data.get("message")))
    return bool(named) and all(field in (sent.get(form) or {}) for form, field in named)


def limits_are_answered(case: Case, answer: Answered) -> bool:
    """An empty name had the answer refused, which switches limits off for the run: ours finds nothing for it."""
    is_question = case["request"]["path"].endswith("/limits")
    was_refused = "is not allowed to be empty" in str((case["response"] or {}).get("body"))
    return is_question and was_refused and answer.status == 200 and isinstance(answer.data, list)


def store_is_looked_at(case: Case, answer: Answered) -> bool:
    """What worker-api answers to a change was not looked at, nor whether it is a list: ours is told."""
    answers = [call["response"] for call in case["worker_api_calls"] if call["path"].startswith("/document/")]
    has_failed = any(
        one["status"] != 200 or (isinstance(one["body"], dict) and "not" in one["body"]) for one in answers
    )
    return has_failed and answer.status == 400 and "worker-api" in answer.text


def number_is_one(case: Case, answer: Answered) -> bool:
    """A number that is too large became null: ours is refused."""
    return answer.status == 400 and re.search(r"the number \S+ is too large", answer.text) is not None


def follower_by_id(case: Case, answer: Answered) -> bool:
    """Followers were found by name only: ours also by id."""
    request, data = _json(case["request"]["body"]) or {}, answer.data
    wanted = (_json(request.get("body")) or {}).get("followers") if isinstance(request, dict) else None
    found = str((data.get("headers") or {}).get("force-target-queue")) if isinstance(data, dict) else ""
    was_refused = "can't be reached" in str((case["response"] or {}).get("body"))
    return was_refused and isinstance(wanted, list) and found.split(",") == wanted


def measured(case: Case, answer: Answered) -> bool:
    """Metrics are the service's own."""
    return case["request"]["path"] == "/metrics" and answer.status == 200


RULES: tuple[Callable[[Case, Answered], bool], ...] = (
    nothing_recorded,
    page_for_envelope,
    headers_of_array,
    state_is_checked,
    login_leads_back,
    list_stays_complete,
    user_is_named,
    client_is_checked,
    plus_is_a_plus,
    limit_is_complete,
    settings_are_checked,
    limits_are_answered,
    store_is_looked_at,
    number_is_one,
    follower_by_id,
    measured,
)

_SAME_ERRORS = tuple(
    (re.compile(theirs), re.compile(ours))
    for theirs, ours in (
        (r"JSON|Unterminated string", r"JSON|must be|filter"),
        (r"Cannot (read|convert|destructure)|Cannot use 'in'|is not (a function|iterable)|^undefined", r"\w"),
        (r"ECONNREFUSED|ENOTFOUND|EAI_AGAIN|socket hang up|Invalid URL|Maximum number of redirects", r"\w"),
        (r"Failed to decode param", r"Failed to decode param"),
        (r"simple-oauth2|The first argument must be|must be a string|must be one of|Response Error", r"\w"),
        (r"Unknown exception|stub failure|Invalid HMAC", r"worker-api|cannot be read|secret"),
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
    wanted, found = _json(recorded), _json(ours)
    if wanted is None or found is None:
        return "" if recorded == ours else f"{ours[:200]!r}, not {recorded[:200]!r}"
    return _differs(wanted, found, "$")


def _differs(wanted: Any, found: Any, place: str) -> str:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return _dicts(wanted, found, place)
    if _are_methods(wanted, place) and isinstance(found, list):
        return "" if set(found) == set(wanted) - LISTED_ONLY else f"{place}: {found!r}, not {wanted!r}"
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        parts = (_differs(one, other, f"{place}[{at}]") for at, (one, other) in pairs)
        return next(filter(None, parts), "")
    return "" if _is_same(wanted, found, place) else f"{place}: {found!r}, not {wanted!r}"


LISTED_ONLY = frozenset({"capital", "x", "hronize"})
"""Synchronous methods that were listed, but could not be called."""


def _dicts(wanted: Mapping[str, Any], found: Mapping[str, Any], place: str) -> str:
    for name in dict.fromkeys([*wanted, *found]):
        if name == "limiter_form" and name not in wanted and place.endswith("applicationSettings"):
            continue  # it was lost with the choices of a service that failed; ours stays
        if name == "default" and "topology" in wanted:
            continue  # no event of ours has a topology of its own
        if name == "fields" and wanted.get("readOnly") is True:
            continue  # forms that nobody may change were changed
        if name == "body" and wanted.get(name) is None and found.get(name) in (None, ""):
            continue  # what is undefined there has no text here
        if name == "headers" and "body" in wanted and (wanted.get(name, ""), found.get(name)) == (None, {}):
            continue  # an item has headers, if only none
        if name not in found or name not in wanted:
            return f"{place}.{name}: {'missing' if name not in found else f'{found[name]!r} is too much'}"
        if said := _differs(wanted[name], found[name], f"{place}.{name}"):
            return said
    return ""


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
        return bool(_json(found) == wanted)  # an action gets text, whatever it was
    if name == "value" and isinstance(wanted, str) and isinstance(found, bool | int | float):
        return _json(wanted) == found  # settings have the types of their fields
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
    inner, ours = _json(wanted), _json(found)
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


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "")
    except ValueError:
        return None
