"""Forms: what a user fills in, declared with pydantic and shown as the platform's fields.

    class Login(Form):
        user: str = Field(title="User")
        password: SecretStr = Field(title="Password", description="Of the account, not of the shop.")

| annotation | field of the platform |
|---|---|
| `str` | text |
| `int`, `float`, `Decimal` | number |
| `HttpUrl`, `AnyUrl` | url |
| `SecretStr` | password |
| `bool` | checkbox |
| `Literal[...]`, an enum | selectbox |
| `list[...]`, `set[...]` | multiselect |

A field without default is required. `json_schema_extra` may hold `readOnly`, `disabled` and `labels` (by value).
"""

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, SecretStr, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from applications.errors import SettingsInvalid
from applications.http.values import setting_text
from applications.limit import MOST

AUTHORIZATION_FORM = "authorization_form"
LIMITER_FORM = "limiter_form"

Values = Mapping[str, Mapping[str, Any]]
"""Settings by form and field."""
Choices = Mapping[str, str] | Sequence[str]
"""What can be chosen: values, or labels by value."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a field shows at run time; None: what is declared."""

    label: str | None = None
    description: str | None = None
    choices: Choices | None = None
    is_read_only: bool | None = None
    is_disabled: bool | None = None
    is_hidden: bool | None = None
    """Whether it is neither shown nor saved."""


@dataclass(frozen=True, slots=True)
class Added:
    """A field of the authorization form that there is at run time only; a secret has to be declared."""

    type: Any
    """As the annotation of a field."""
    field: Any
    """What pydantic's `Field(...)` returns: `Added(str, Field("", title="Region"))`."""


AtRunTime = Mapping[str, Choices | Shown | Added]
"""By field."""

_CHOSEN = frozenset({"text", "number", "selectbox", "multiselect"})
_MANY = (list, set, frozenset, tuple)


class Form(BaseModel):
    """A form. Derive from it; a field's alias is the key under which it is stored."""

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, validate_by_name=True, validate_by_alias=True,
        hide_input_in_errors=True, allow_inf_nan=False,
    )  # fmt: skip

    form_key: ClassVar[str] = AUTHORIZATION_FORM
    form_name: ClassVar[str] = "Authorization"
    form_description: ClassVar[str] = ""
    is_read_only: ClassVar[bool] = False


class Limiter(Form):
    """The user's own limit, which every application has."""

    form_key = LIMITER_FORM
    form_name = "Limiter"

    useLimit: bool = Field(False, title="Use limit")  # noqa: N815 - the platform's spelling
    value: int | None = Field(None, title="Limit per time", gt=0, le=MOST)
    time: int | None = Field(None, title="Time in seconds", gt=0, le=MOST)


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """One field as the platform knows it."""

    form: type[Form]
    name: str
    key: str
    type: str
    label: str
    description: str
    is_required: bool
    default: Any
    choices: Choices
    is_read_only: bool
    is_disabled: bool
    is_hidden: bool

    @property
    def is_secret(self) -> bool:
        """Whether the value never leaves again."""
        return self.type == "password"

    def read(self, value: Any) -> Any:
        """Return the value as it is stored. Raises pydantic's `ValidationError`."""
        holder = self.form.model_construct()
        setattr(holder, self.name, value)
        read = getattr(holder, self.name)
        if isinstance(read, SecretStr):
            return read.get_secret_value()
        return str(value) if self.type == "url" else to_jsonable_python(read)

    def show(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the platform's user interface draws; `true` stands for a secret that is set."""
        value = stored.get(self.key, self.default)
        if self.is_secret:
            value = True if stored.get(self.key) else None
        return {
            "type": self.type,
            "key": self.key,
            "value": value,
            "label": self.label,
            "description": self.description,
            "required": self.is_required,
            "readOnly": self.is_read_only,
            "disabled": self.is_disabled,
            "choices": _shown_choices(self.choices),
        }


@dataclass(frozen=True, slots=True)
class FormFacts:
    """One form as the platform knows it."""

    key: str
    name: str
    description: str
    is_read_only: bool
    fields: tuple[FieldFacts, ...]

    def show(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the platform's user interface draws."""
        return {
            "key": self.key,
            "publicName": self.name,
            "description": self.description,
            "readOnly": self.is_read_only,
            "fields": [field.show(stored) for field in self.fields if not field.is_hidden],
        }


def facts_of(forms: Sequence[type[Form]], choices: AtRunTime | None = None) -> list[FormFacts]:
    """Return the facts of forms and of the limiter, in order; `choices` by field are those found at run time.

    Forms with the same key become one.
    """
    found: dict[str, FormFacts] = {}
    at_run_time = choices or {}
    every: tuple[type[Form], ...] = (*forms, *_added(at_run_time), Limiter)
    for form in every:
        fields = tuple(_field(form, name, info, at_run_time) for name, info in form.model_fields.items())
        before = found.get(form.form_key)
        found[form.form_key] = (
            replace(before, fields=before.fields + fields)
            if before
            else FormFacts(form.form_key, form.form_name, form.form_description, form.is_read_only, fields)
        )
    return list(found.values())


def _added(at_run_time: AtRunTime) -> Sequence[type[Form]]:
    """Return a form with the fields that are added. Raises `TypeError` for a secret."""
    added: dict[str, Any] = {key: (own.type, own.field) for key, own in at_run_time.items() if isinstance(own, Added)}
    if secret := [key for key, (kind, _) in added.items() if _type(kind)[0] == "password"]:
        raise TypeError(f"{secret[0]} is a secret, and would be shown where nobody knows it: declare it in a form")
    return [create_model("AddedAtRunTime", __base__=Form, **added)] if added else []


def show(facts: Iterable[FormFacts], stored: Values) -> Mapping[str, Any]:
    """Return `applicationSettings` of the platform."""
    return {form.key: form.show(stored.get(form.key, {})) for form in facts}


def save(
    facts: Iterable[FormFacts], stored: Values, given: Values, *, keeps_unknown: bool = False
) -> dict[str, dict[str, Any]]:
    """Return the stored settings with the given ones over them; only known fields are kept.

    With `keeps_unknown` the stored ones are all kept: there may be fields that only the run time knows.
    None clears a field, and `true` leaves a secret as it is. Raises `SettingsInvalid` for all wrong fields at once.
    """
    kept: dict[str, dict[str, Any]] = {}
    errors: dict[str, dict[str, str]] = {}
    for form in facts:
        before, new = stored.get(form.key, {}), given.get(form.key, {})
        if keeps_unknown and before:
            kept[form.key] = dict(before)
        for field in form.fields:
            if field.key in before:
                kept.setdefault(form.key, {})[field.key] = before[field.key]
            is_read_only = form.is_read_only or field.is_read_only or field.is_hidden
            if field.key not in new or is_read_only or (field.is_secret and new[field.key] is True):
                continue
            try:
                value = None if new[field.key] is None else _among(field, field.read(new[field.key]))
                kept.setdefault(form.key, {})[field.key] = value
            except (ValidationError, ValueError) as error:
                errors.setdefault(form.key, {})[field.key] = _text(error)
        if form.key == LIMITER_FORM and new:
            for key in _lacking(kept.get(LIMITER_FORM, {})):
                errors.setdefault(LIMITER_FORM, {}).setdefault(key, "needed with useLimit, else there is no limit")
    if errors:
        raise SettingsInvalid(errors)
    return kept


def _lacking(limiter: Mapping[str, Any]) -> list[str]:
    """Return the numbers without which a limit is used that is none."""
    return [key for key in ("value", "time") if limiter.get("useLimit") and limiter.get(key) is None]


def chooses(facts: Iterable[FormFacts], given: Values) -> bool:
    """Whether a given value may be one of choices, or of a field, that only the run time knows."""
    return any(
        value is not None and (key not in known or known[key] in _CHOSEN)
        for form in facts
        if form.key != LIMITER_FORM
        for known in [{field.key: field.type for field in form.fields}]
        for key, value in given.get(form.key, {}).items()
    )


def missing(facts: Iterable[FormFacts], stored: Values) -> list[str]:
    """Return the keys of required fields that are empty."""
    return [
        field.key
        for form in facts
        for field in form.fields
        if field.is_required and stored.get(form.key, {}).get(field.key) in (None, "", [])
    ]


def flat(facts: Iterable[FormFacts], stored: Values) -> dict[str, str]:
    """Return all settings as text by field, with their defaults: what placeholders are filled from."""
    found: dict[str, str] = {}
    for form in facts:
        own = {field.key: field.default for field in form.fields} | dict(stored.get(form.key, {}))
        for key, value in own.items():
            if value is not None:
                found.setdefault(key, setting_text(value))
    return found


def _field(form: type[Form], name: str, info: FieldInfo, at_run_time: AtRunTime) -> FieldFacts:
    extra: Mapping[str, Any] = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    key = info.alias or name
    kind, declared = _type(info.annotation)
    found = at_run_time.get(key)
    shown = found if isinstance(found, Shown) else Shown(choices=None if isinstance(found, Added) else found)
    choices: Choices = extra.get("labels", declared) if shown.choices is None else shown.choices
    if shown.choices is not None and kind == "text":
        kind = "selectbox"
    default = None if info.is_required() else to_jsonable_python(info.get_default(call_default_factory=True))
    return FieldFacts(
        form, name, key, kind,
        _first(shown.label, info.title, name), _first(shown.description, info.description, ""),
        info.is_required(), default, choices,
        bool(_first(shown.is_read_only, extra.get("readOnly"))), bool(_first(shown.is_disabled, extra.get("disabled"))),
        bool(shown.is_hidden),
    )  # fmt: skip


def _first(*found: Any) -> Any:
    """Return the first value that there is."""
    return next((value for value in found if value is not None), None)


def _type(annotation: Any) -> tuple[str, Sequence[str]]:
    if get_origin(annotation) in {Union, types.UnionType}:
        annotation = next(argument for argument in get_args(annotation) if argument is not type(None))
    if get_origin(annotation) in _MANY:
        return "multiselect", _type(get_args(annotation)[0])[1]
    if get_origin(annotation) is Literal:
        return "selectbox", [str(value) for value in get_args(annotation)]
    known = annotation if isinstance(annotation, type) else object
    if issubclass(known, Enum):
        return "selectbox", [str(member.value) for member in known]
    for classes, name in _TYPES:
        if issubclass(known, classes):
            return name, ()
    raise TypeError(f"{annotation} is not a type of a form's field; see applications.forms")


_TYPES: Sequence[tuple[tuple[type, ...], str]] = (
    ((bool,), "checkbox"),
    ((int, float, Decimal), "number"),
    ((SecretStr,), "password"),
    ((AnyUrl,), "url"),
    ((str,), "text"),
)


def _among(field: FieldFacts, value: Any) -> Any:
    """Check what was chosen against choices that only the run time knows."""
    chosen = value if isinstance(value, list) else [value]
    if field.choices and (wrong := [one for one in chosen if str(one) not in field.choices]):
        raise ValueError(f"{wrong[0]!r} is none of {', '.join(field.choices)}")
    return value


def _shown_choices(choices: Choices) -> list[Any]:
    return [{value: label} for value, label in choices.items()] if isinstance(choices, Mapping) else list(choices)


def _text(error: ValueError) -> str:
    return "; ".join(problem["msg"] for problem in error.errors()) if isinstance(error, ValidationError) else str(error)
