"""The world as pycountry knows it: ISO 3166 countries with their subdivisions, ISO 4217 currencies."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pycountry

Record = Mapping[str, Any]

# In ISO 4217 these begin like a country's code, too, but nobody pays with them: units of account and the like.
NO_MONEY = frozenset({"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "VED"})


def load_records() -> dict[str, Record]:
    """Return a record of each country, by ISO 3166 code."""
    currencies = {currency.alpha_3[:2]: currency.alpha_3 for currency in pycountry.currencies if _is_money(currency)}
    parts = _parts(pycountry.subdivisions)
    return {
        country.alpha_2: {
            "code": country.alpha_2,
            "name": country.name,
            "flag": country.flag,
            "currency": currencies.get(country.alpha_2),
            "parts": parts[country.alpha_2],
        }
        for country in sorted(pycountry.countries, key=lambda country: str(country.alpha_2))
    }


def _is_money(currency: Any) -> bool:
    return currency.alpha_3 not in NO_MONEY


def _parts(subdivisions: Iterable[Any]) -> defaultdict[str, list[Record]]:
    parts: defaultdict[str, list[Record]] = defaultdict(list)
    for part in subdivisions:
        parts[part.country_code].append({"code": part.code, "name": part.name, "kind": part.type})
    return parts
