"""Where the recorded service shows a defect: what is right instead. `docs/compatibility.md` has the reasons."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

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
        return read_json(self.text)


def read_json(text: object) -> Any:
    """Return what a text says as JSON, None for what is none."""
    try:
        return json.loads(text if isinstance(text, str) else "")
    except ValueError:
        return None


def dict_of(headers: list[list[str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def was_answered(case: Case) -> bool:
    return bool((case["response"] or {}).get("status"))


def nothing_recorded(case: Case, answer: Answered) -> bool:
    """JSON that is none ended the recorded process: ours says 400."""
    return not was_answered(case) and answer.status == 400


def page_for_envelope(case: Case, answer: Answered) -> bool:
    """An error within the handling of an error gave a page of HTML: ours is an envelope with a verdict."""
    recorded = case["response"]
    if not was_answered(case):
        return False
    is_page = "text/html" in dict_of(recorded["headers"]).get("content-type", "")
    is_call = re.fullmatch(r"/(connector|batch|custom-node)/[^/]+/(action|process)", case["request"]["path"])
    data = answer.data
    is_envelope = isinstance(data, dict) and "result-code" in (data.get("headers") or {})
    return bool(is_page and is_call and case["request"]["method"] == "POST" and is_envelope)


def headers_of_array(case: Case, answer: Answered) -> bool:
    """Headers that are an array lost the verdict: ours takes them for none."""
    recorded, data = read_json((case["response"] or {}).get("body")), answer.data
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


def refusal_is_told(case: Case, answer: Answered) -> bool:
    """A login that somebody refused went on with an empty code: ours says so."""
    path, _, query = case["request"]["path"].partition("?")
    is_callback, callback = path.endswith("/authorize/token"), dict(parse_qsl(query))
    is_refused = "error" in callback or not callback.get("code")
    return is_callback and is_refused and answer.status == 400 and NOT_OURS not in answer.text


def list_stays_complete(case: Case, answer: Answered) -> bool:
    """One install that cannot be decrypted ended the list of all: ours says of it that it is not authorized."""
    is_list = re.match(r"/applications/users/", case["request"]["path"]) is not None
    return is_list and (case["response"] or {}).get("status") == 400 and answer.status == 200


def user_is_named(case: Case, answer: Answered) -> bool:
    """A message without a user got the install of any: ours is told to name one."""
    request, data = read_json(case["request"]["body"]), answer.data
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
    """A user with a plus got the install of the one with a blank, and one with `#` or `&` cut the question off."""
    has_sign = re.search("%2[36B]", case["request"]["path"]) is not None
    return has_sign and answer.status == 400 and "has not been found" in answer.text


def limit_is_complete(case: Case, answer: Answered) -> bool:
    """A limit without numbers above 0 was taken, and was none: ours says what it needs."""
    words = r"limiter_form\.\w+: (needed with useLimit|Input should be greater than 0)"
    return answer.status == 400 and re.search(words, answer.text) is not None


def settings_are_checked(case: Case, answer: Answered) -> bool:
    """A value that its field cannot have was stored: ours names the field."""
    path, sent, data = case["request"]["path"], read_json(case["request"]["body"]), answer.data
    if not path.endswith(("/settings", "/password")) or not isinstance(sent, dict) or answer.status != 400:
        return False
    if path.endswith("/password"):
        sent = {str(sent.get("formKey")): {str(sent.get("fieldKey")): sent.get("password")}}
    named = re.findall(r"(?:occurred: |; )(\w+)\.(\w+): ", str(data.get("message")))
    return bool(named) and all(field in (sent.get(form) or {}) for form, field in named)


def limits_are_answered(case: Case, answer: Answered) -> bool:
    """An error, also of worker-api, took the answer away, which switches limits off: ours has what is known."""
    is_question = case["request"]["path"].endswith("/limits")
    was_refused = (case["response"] or {}).get("status") == 400 or has_failed(case)
    return is_question and was_refused and answer.status == 200 and isinstance(answer.data, list)


def store_is_looked_at(case: Case, answer: Answered) -> bool:
    """What worker-api answers to a change was not looked at, nor whether it is a list: ours is told."""
    return has_failed(case) and answer.status == 400 and "worker-api" in answer.text


def has_failed(case: Case) -> bool:
    """Whether worker-api did not answer, or no list."""
    answers = [call["response"] for call in case["worker_api_calls"] if call["path"].startswith("/document/")]
    return any(one["status"] != 200 or (isinstance(one["body"], dict) and "not" in one["body"]) for one in answers)


def store_is_waited_for(case: Case, answer: Answered) -> bool:
    """An action failed for good while worker-api was away: ours is repeated."""
    data = answer.data
    headers = data.get("headers") if isinstance(data, dict) else None
    is_repeated = isinstance(headers, dict) and headers.get("result-code") == "1001"
    return has_failed(case) and is_repeated and "worker-api" in str(headers)


def settings_are_complete(case: Case, answer: Answered) -> bool:
    """A service was called with settings that lack, as `undefined`: ours says which."""
    has_called = (case["response"] or {}).get("status") == 200
    is_refused = answer.status == 400 and re.search(" of user '.*' lacks ", answer.text) is not None
    return case["request"]["path"].endswith("/action") and has_called and is_refused


def page_is_one(case: Case, answer: Answered) -> bool:
    """A login led back to any address, also `javascript:`: ours only to a page."""
    path = case["request"]["path"].partition("?")[0]
    return path.endswith("/authorize") and answer.status == 400 and "must be an address of a page" in answer.text


def event_is_known(case: Case, answer: Answered) -> bool:
    """A subscription for an event that the application does not have was answered as made: ours names the events."""
    is_subscription = case["request"]["path"].endswith("/subscribe")
    was_answered_well = (case["response"] or {}).get("status") == 200
    return is_subscription and was_answered_well and answer.status == 400 and " has no webhook " in answer.text


def newer_methods(case: Case, answer: Answered) -> bool:
    """The synchronous methods of webhooks came with 3.0 of the platform: ours has them for all applications."""
    is_one = re.search(r"/sync/(listWebhookEvents|(un)?subscribeWebhook)\b", case["request"]["path"]) is not None
    return is_one and "has not been found in application" in str((case["response"] or {}).get("body"))


def service_is_its_own(case: Case, answer: Answered) -> bool:
    """Services (`sdk`) were not told apart: ours finds the installs of the service that is meant."""
    answers = [call["response"]["body"] for call in case["worker_api_calls"]]
    found = [one for some in answers if isinstance(some, list) for one in some]
    is_of_service = any(isinstance(one, dict) and one.get("sdk") for one in found)
    return is_of_service and (answer.status == 201 or "has not been found" in answer.text)


def unreadable_stays_one(case: Case, answer: Answered) -> bool:
    """An install that could not be decrypted was made again, and could not be deleted: ours is and can be."""
    path, status = case["request"]["path"], (case["response"] or {}).get("status")
    is_kept = path.endswith("/install") and status == 201 and " already exists !" in answer.text
    is_gone = path.endswith("/uninstall") and status == 400 and answer.status == 200
    return is_kept or is_gone


def path_is_text(case: Case, answer: Answered) -> bool:
    """A user with a NUL was stored: ours is refused, as a database cannot keep it."""
    return "%00" in case["request"]["path"] and answer.status == 400 and "Failed to decode param" in answer.text


def number_is_one(case: Case, answer: Answered) -> bool:
    """A number that is too large became null: ours is refused."""
    return answer.status == 400 and re.search(r"JSON has no -?\d", answer.text) is not None


def follower_by_id(case: Case, answer: Answered) -> bool:
    """Followers were found by name only: ours also by id."""
    request, data = read_json(case["request"]["body"]) or {}, answer.data
    asked = read_json(request.get("body")) if isinstance(request, dict) else None
    wanted = asked.get("followers") if isinstance(asked, dict) else None
    headers = data.get("headers") if isinstance(data, dict) else None
    found = str(headers.get("force-target-queue")) if isinstance(headers, dict) else ""
    was_refused = "can't be reached" in str((case["response"] or {}).get("body"))
    return was_refused and isinstance(wanted, list) and found.split(",") == wanted


def measured(case: Case, answer: Answered) -> bool:
    """Metrics are the service's own, and read with GET."""
    return case["request"]["path"] == "/metrics" and (answer.status == 200 or case["request"]["method"] != "GET")


RULES: tuple[Callable[[Case, Answered], bool], ...] = (
    nothing_recorded,
    page_for_envelope,
    headers_of_array,
    state_is_checked,
    login_leads_back,
    refusal_is_told,
    list_stays_complete,
    user_is_named,
    client_is_checked,
    plus_is_a_plus,
    limit_is_complete,
    settings_are_checked,
    limits_are_answered,
    store_is_looked_at,
    store_is_waited_for,
    settings_are_complete,
    page_is_one,
    event_is_known,
    newer_methods,
    service_is_its_own,
    unreadable_stays_one,
    path_is_text,
    number_is_one,
    follower_by_id,
    measured,
)
