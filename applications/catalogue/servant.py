"""Servant: a Czech warehouse and fulfilment service.

https://www.webskladservant.cz
"""

from applications.application import Application


class Servant(Application):
    """Its SOAP operations take user and password in the body; the install's fields hold them."""

    key = "servant"
    base_url = "https://www.webskladservant.cz/impl/SAPI"
