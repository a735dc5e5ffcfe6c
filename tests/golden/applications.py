"""The applications that were recorded."""

from typing import Literal

from pydantic import AnyUrl, Field, SecretStr

from applications import Application
from applications.authentication import ApiKey, Basic
from applications.forms import Form


class BasicForm(Form):
    """User and password."""

    form_description = "Auth desc"
    user: str = Field(title="User", description="User desc")
    password: SecretStr = Field(title="Password")


class TypesForm(Form):
    """One field of each type; nobody may change them."""

    form_key = "types_form"
    form_name = "Types"
    is_read_only = True
    text: str = Field("default text", title="Text")
    number: int = Field(5, title="Number", json_schema_extra={"readOnly": True})
    url: AnyUrl | None = Field(None, title="Url", json_schema_extra={"disabled": True})
    select: Literal["a", "b", "c"] = Field("b", title="Select")
    select2: Literal["k1", "k2"] | None = Field(
        None, title="Select2", json_schema_extra={"labels": {"k1": "Label 1", "k2": "Label 2"}}
    )
    multi: list[Literal["x", "y"]] = Field(["x"], title="Multi")
    check: bool = Field(False, title="Check")
    secret2: SecretStr | None = Field(None, title="Secret 2")


class BasicApp(Application):
    """Signs with user and password."""

    key = "basic-app"
    name = "Basic App"
    description = "Basic app description"
    info = "# Info\nSome *info* text.\n"
    authentication = Basic()
    forms = (BasicForm, TypesForm)


class TokenForm(Form):
    """A token."""

    token: str = Field(title="Token")


class WebhookApp(Application):
    """Is called by its service."""

    key = "webhook-app"
    name = "Webhook App"
    description = "Webhook app"
    authentication = ApiKey(header="Authorization")
    forms = (TokenForm,)
