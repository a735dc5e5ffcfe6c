"""Shopify: with the token of a custom app, or with an OAuth app. Each shop has its own address.

Facts: https://shopify.dev/docs/api/admin-rest, https://shopify.dev/docs/apps/build/authentication-authorization.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from pydantic import Field, HttpUrl, SecretStr

from applications.application import Application, ApplicationType
from applications.authentication import ApiKey, OAuth2
from applications.forms import Form
from applications.http.client import Client
from applications.signatures import SHOPIFY
from applications.webhook_call import Subscription

_TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - the name of a header
_HEADERS = MappingProxyType({"Accept": "application/json"})
_BASE_URL = "{shopifyUrl}/admin/api/2024-01"
_SHOP = "Format: https://eshop.myshopify.com"


class _Webhooks(Application):
    """What both ways to log in have in common."""

    key = ""
    name = "Shopify"
    kind = ApplicationType.WEBHOOK
    base_url = _BASE_URL
    headers = _HEADERS
    webhooks = tuple(
        Subscription(topic)
        for topic in (
            "orders/create",
            "orders/updated",
            "orders/paid",
            "orders/cancelled",
            "products/update",
            "app/uninstalled",
        )
    )
    signature = SHOPIFY
    delivery_header = "x-shopify-webhook-id"

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Add a webhook; Shopify signs with the app's own secret."""
        reply = await client.post("/webhooks.json", json={"webhook": {"topic": name, "address": url, "format": "json"}})
        return str(reply.json()["webhook"]["id"])

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Delete the webhook."""
        await client.delete("/webhooks/{id}.json", {"id": remote_id}, success={HTTPStatus.NOT_FOUND})


class _Token(Form):
    token: SecretStr = Field(title="Admin API access token")
    api_secret: SecretStr | None = Field(None, title="API secret key", description="Signs webhooks.")
    shop_url: HttpUrl = Field(alias="shopifyUrl", title="Shopify URL", description=_SHOP)


class Shopify(_Webhooks):
    """Shopify with the token of a custom app."""

    key = "shopify"
    description = "Hosted online-shop platform (custom-app admin token)."
    authentication = ApiKey("{token}", header=_TOKEN_HEADER)
    signature_secret = "api_secret"  # noqa: S105 - the name of a setting
    forms = (_Token,)


class _Client(Form):
    client_id: str = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")
    shop_url: HttpUrl = Field(alias="shopifyUrl", title="Shopify URL", description=_SHOP)


class ShopifyOAuth(_Webhooks):
    """Shopify with an OAuth app: the user logs in at the own shop."""

    key = "shopify-oauth"
    description = "Hosted online-shop platform (OAuth installation)."
    authentication = OAuth2(
        authorize_url="{shopifyUrl}/admin/oauth/authorize",
        token_url="{shopifyUrl}/admin/oauth/access_token",  # noqa: S106 - an address
        scopes=("read_orders", "write_orders", "read_products", "write_products", "write_inventory", "read_locations"),
        scope_separator=",",
        header=_TOKEN_HEADER,
        value="{access_token}",
    )
    signature_secret = "client_secret"  # noqa: S105 - the name of a setting
    forms = (_Client,)
