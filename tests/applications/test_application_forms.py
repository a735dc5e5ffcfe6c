"""Forms: shown as the platform draws them, saved field by field."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from pydantic import Field, HttpUrl, SecretStr

from applications import Form
from applications.errors import SettingsInvalid
from applications.forms import Limiter, Shown, facts_of, flat, missing, save, show


class Login(Form):
    form_description = "Auth desc"

    user: str = Field(title="User", description="User desc")
    password: SecretStr = Field(title="Password")


class Types(Form):
    form_key = "types_form"
    form_name = "Types"

    text: str = Field("default text", title="Text")
    number: int = Field(5, title="Number", json_schema_extra={"readOnly": True})
    url: HttpUrl | None = Field(None, title="Url", json_schema_extra={"disabled": True})
    select: Literal["a", "b", "c"] = Field("b", title="Select")
    select2: Literal["k1", "k2"] | None = Field(
        None, title="Select2", json_schema_extra={"labels": {"k1": "Label 1", "k2": "Label 2"}}
    )
    multi: list[Literal["x", "y"]] = Field(["x"], title="Multi")
    check: bool = Field(False, title="Check")
    secret2: SecretStr | None = Field(None, title="Secret 2")


class Displayed(Types):
    is_read_only = True


FACTS = facts_of((Login, Types))


def field(key: str, kind: str, value: Any, label: str, **others: Any) -> dict[str, Any]:
    common = {"description": "", "required": False, "readOnly": False, "disabled": False, "choices": []}
    return {"type": kind, "key": key, "value": value, "label": label, **common, **others}


def form(key: str, name: str, *fields: Mapping[str, Any], description: str = "", read_only: bool = False) -> Any:
    return {"key": key, "publicName": name, "description": description, "readOnly": read_only, "fields": list(fields)}


LIMITER = form(
    "limiter_form", "Limiter", field("useLimit", "checkbox", False, "Use limit"),
    field("value", "number", None, "Limit per time"), field("time", "number", None, "Time in seconds"),
)  # fmt: skip


def test_a_fresh_install_shows_what_the_platform_showed() -> None:
    login = form(
        "authorization_form", "Authorization",
        field("user", "text", None, "User", description="User desc", required=True),
        field("password", "password", None, "Password", required=True), description="Auth desc",
    )  # fmt: skip
    types = form(
        "types_form", "Types", field("text", "text", "default text", "Text"),
        field("number", "number", 5, "Number", readOnly=True), field("url", "url", None, "Url", disabled=True),
        field("select", "selectbox", "b", "Select", choices=["a", "b", "c"]),
        field("select2", "selectbox", None, "Select2", choices=[{"k1": "Label 1"}, {"k2": "Label 2"}]),
        field("multi", "multiselect", ["x"], "Multi", choices=["x", "y"]),
        field("check", "checkbox", False, "Check"), field("secret2", "password", None, "Secret 2"), read_only=True,
    )  # fmt: skip
    facts = facts_of((Login, Displayed))
    assert show(facts, {}) == {"authorization_form": login, "types_form": types, "limiter_form": LIMITER}


def test_a_form_to_be_read_is_not_written() -> None:
    assert save(
        facts_of((Displayed,)), {"types_form": {"text": "old"}}, {"types_form": {"text": "new", "check": True}}
    ) == {"types_form": {"text": "old"}}


def test_a_secret_that_is_set_shows_as_true_and_never_itself() -> None:
    stored = save(FACTS, {}, {"authorization_form": {"user": "joe", "password": "p@ss"}})
    shown = show(FACTS, stored)
    assert "p@ss" not in str(shown)
    assert [one["value"] for one in shown["authorization_form"]["fields"]] == ["joe", True]
    assert save(FACTS, stored, {"authorization_form": {"password": True}}) == stored


def test_only_declared_fields_are_kept() -> None:
    before = {"authorization_form": {"user": "joe", "old": 1}, "gone": {"a": 1}}
    given = {"authorization_form": {"password": "x", "token": "t"}, "other": {"b": 2}, "types_form": {"number": 9}}
    assert save(FACTS, before, given) == {"authorization_form": {"user": "joe", "password": "x"}}


def test_all_wrong_fields_are_told_beside_the_field() -> None:
    given = {
        "authorization_form": {"user": 5},
        "types_form": {"url": "no url", "select": "z", "multi": ["x", "q"], "check": "perhaps"},
        "limiter_form": {"value": -1},
    }
    with pytest.raises(SettingsInvalid) as raised:
        save(FACTS, {}, given)
    assert {key: set(fields) for key, fields in raised.value.errors.items()} == {
        "authorization_form": {"user"},
        "types_form": {"url", "select", "multi", "check"},
        "limiter_form": {"value"},
    }
    assert raised.value.errors["authorization_form"]["user"] == "Input should be a valid string"


def test_a_wrong_secret_is_not_repeated_in_the_error() -> None:
    with pytest.raises(SettingsInvalid) as raised:
        save(FACTS, {}, {"authorization_form": {"password": ["canary"]}})
    assert "canary" not in str(raised.value)


def test_values_are_stored_as_the_form_reads_them() -> None:
    types = {"url": "http://x", "multi": ["y"], "text": None}
    given = {"types_form": types, "limiter_form": {"value": "10", "time": 1, "useLimit": "true"}}
    assert save(FACTS, {}, given) == {
        "types_form": {"url": "http://x", "multi": ["y"], "text": None},
        "limiter_form": {"value": 10, "time": 1, "useLimit": True},
    }


def test_choices_that_the_run_time_knows_are_shown_and_checked() -> None:
    class Shop(Form):
        warehouse: str = Field(title="Warehouse")

    facts = facts_of((Shop,), {"warehouse": {"1": "Brno", "2": "Praha"}})
    (shown, *_) = show(facts, {})["authorization_form"]["fields"]
    assert (shown["type"], shown["choices"]) == ("selectbox", [{"1": "Brno"}, {"2": "Praha"}])
    with pytest.raises(SettingsInvalid, match="'3' is none of 1, 2"):
        save(facts, {}, {"authorization_form": {"warehouse": "3"}})


def test_a_limiter_of_ones_own_gets_the_fields_of_the_common_one() -> None:
    class Own(Form):
        form_key = "limiter_form"
        form_name = "Own limiter"

        group_value: int = Field(500, alias="groupValue", title="GV")

    (facts,) = facts_of((Own,))
    assert facts.name == "Own limiter"
    assert [one.key for one in facts.fields] == ["groupValue", *Limiter.model_fields]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"useLimit": True}, {"value", "time"}),
        ({"useLimit": True, "value": 3}, {"time"}),
        ({"useLimit": True, "value": 10**9 + 1, "time": 10**16}, {"value", "time"}),
        ({"time": None}, {"time"}),
        ({"value": 5}, set()),
        ({"useLimit": False, "time": None}, set()),
    ],
)
def test_a_users_limit_is_whole_and_within_bounds(given: Mapping[str, Any], wrong: set[str]) -> None:
    stored = {"limiter_form": {"useLimit": True, "value": 1, "time": 1}} if not given.get("useLimit") else {}
    if not wrong:
        assert save(FACTS, stored, {"limiter_form": given})["limiter_form"] == {**stored["limiter_form"], **given}
        return
    with pytest.raises(SettingsInvalid) as raised:
        save(FACTS, stored, {"limiter_form": given})
    assert set(raised.value.errors["limiter_form"]) == wrong


def test_other_settings_are_saved_beside_a_limit_that_lacks_a_number() -> None:
    before = {"limiter_form": {"useLimit": True}}
    assert save(FACTS, before, {"authorization_form": {"user": "joe"}})["authorization_form"] == {"user": "joe"}


def test_what_is_missing_is_named() -> None:
    assert missing(FACTS, {"authorization_form": {"user": ""}}) == ["user", "password"]
    assert flat(FACTS, {"authorization_form": {"user": "joe"}})["text"] == "default text"


def test_a_type_that_is_no_field_is_told_to_the_author() -> None:
    class Wrong(Form):
        thing: dict[str, int]

    with pytest.raises(TypeError, match="not a type of a form's field"):
        facts_of((Wrong,))


def test_a_field_shows_at_run_time_what_it_is_told() -> None:
    class Warehouse(Form):
        place: str = Field("", title="Place")
        note: str = Field("", title="Note", description="Of your own.")

    changed = {
        "place": Shown(label="Warehouse of alice", description="As the shop has them.", choices=["a", "b"]),
        "note": Shown(is_read_only=True, is_disabled=True),
    }
    place, note = facts_of([Warehouse], changed)[0].fields
    assert (place.label, place.description, place.type, place.choices) == (
        "Warehouse of alice", "As the shop has them.", "selectbox", ["a", "b"],
    )  # fmt: skip
    assert (note.label, note.description, note.type) == ("Note", "Of your own.", "text")
    assert (note.is_read_only, note.is_disabled, place.is_read_only) == (True, True, False)
