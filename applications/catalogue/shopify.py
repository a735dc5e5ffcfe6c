"""Shopify: with the token of a custom app, or with an OAuth app. Each shop has its own address.

Facts: https://shopify.dev/docs/api/admin-rest, https://shopify.dev/docs/apps/build/authentication-authorization.
"""

from types import MappingProxyType

from pydantic import Field, HttpUrl, SecretStr

from applications.application import Application, ApplicationType
from applications.authentication import ApiKey, OAuth2
from applications.forms import Form

_TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - the name of a header
_HEADERS = MappingProxyType({"Accept": "application/json"})
_BASE_URL = "{shopifyUrl}/admin/api/2024-01"
_SHOP = "Format: https://eshop.myshopify.com"


class _Token(Form):
    token: SecretStr = Field(title="Admin API access token")
    shop_url: HttpUrl = Field(alias="shopifyUrl", title="Shopify URL", description=_SHOP)


class Shopify(Application):
    """Shopify with the token of a custom app."""

    key = "shopify"
    name = "Shopify"
    description = "Hosted online-shop platform (custom-app admin token)."
    kind = ApplicationType.WEBHOOK
    base_url = _BASE_URL
    headers = _HEADERS
    authentication = ApiKey("{token}", header=_TOKEN_HEADER)
    forms = (_Token,)


class _Client(Form):
    client_id: str = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")
    shop_url: HttpUrl = Field(alias="shopifyUrl", title="Shopify URL", description=_SHOP)


class ShopifyOAuth(Application):
    """Shopify with an OAuth app: the user logs in at the own shop."""

    key = "shopify-oauth"
    name = "Shopify"
    description = "Hosted online-shop platform (OAuth installation)."
    kind = ApplicationType.WEBHOOK
    base_url = _BASE_URL
    headers = _HEADERS
    authentication = OAuth2(
        authorize_url="{shopifyUrl}/admin/oauth/authorize",
        token_url="{shopifyUrl}/admin/oauth/access_token",  # noqa: S106 - an address
        scopes=("read_orders", "write_orders", "read_products", "write_products", "write_inventory", "read_locations"),
        scope_separator=",",
        header=_TOKEN_HEADER,
        value="{access_token}",
    )
    forms = (_Client,)
