"""Shopify: a hosted online-shop platform.

https://shopify.dev/docs/api/admin
"""

from types import MappingProxyType

from applications.application import Application


class Shopify(Application):
    """Shopify's Admin API; the base URL is the shop's own and comes from the install."""

    key = "shopify"
    headers = MappingProxyType({"Accept": "application/json"})
