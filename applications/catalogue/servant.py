"""Servant: a Czech warehouse and fulfilment service.

https://www.webskladservant.cz
"""

from pydantic import Field, SecretStr

from applications.application import Application
from applications.forms import Form


class _Login(Form):
    user: str = Field(title="E-mail")
    password: SecretStr = Field(title="Password")
    warehouse_id: int | None = Field(None, title="Warehouse ID")


class Servant(Application):
    """Its SOAP operations take user and password in the body; the install's fields hold them."""

    key = "servant"
    name = "Servant"
    description = "Czech warehouse and fulfilment service."
    forms = (_Login,)
    base_url = "https://www.webskladservant.cz/impl/SAPI"
