"""The actions of the demonstration: what an author writes.

Models say what goes into a node and what comes out. Repeats, limits, the trash and the way to the next node are the
worker's business and take no line here.
"""

import asyncio
from pathlib import Path
from statistics import mode

from pydantic import BaseModel, Field, SecretStr

from applications import Application, Bearer, Form
from connectors import Batch, Connector, CustomNode, DoNotContinue, Message, Page

ROWS = Path("var/demo/countries.jsonl")


class World(Application):
    """The REST service of `service.py`; the demonstration says where it listens."""

    key = "world"


class TallyForm(Form):
    """What a user of the tally fills in."""

    token: SecretStr = Field(title="Token")


class Tally(Application):
    """The same service's tally, for which one needs a token; the worker adds that of the message's user."""

    key = "tally"
    authentication = Bearer()
    forms = (TallyForm,)


class CountryRef(BaseModel):
    """A country by its ISO 3166 code."""

    code: str


class CountryList(BaseModel):
    """One page of the service's list; `next` is the cursor of the page after it."""

    items: list[CountryRef]
    next: str | None


class Part(BaseModel):
    """A region of a country; `kind` is what the country calls such a region."""

    code: str
    name: str
    kind: str


class Country(BaseModel):
    """A country as the service knows it."""

    code: str
    name: str
    flag: str
    currency: str | None
    parts: list[Part]


class Row(BaseModel):
    """A line of the result."""

    code: str
    country: str
    flag: str
    currency: str | None
    kind: str
    parts: int


class ListCountries(Batch[object, CountryRef]):
    """GET /countries, page by page; a page's countries are on their way before the next page is asked for."""

    name = "list-countries"
    application = World

    async def page(self, message: Message[object], cursor: str | None) -> Page:
        """Return one page of countries."""
        response = await self.service.get("/countries", params={"cursor": cursor or ""})
        found = response.model(CountryList)
        return Page(found.items, next_cursor=found.next)


class FetchCountry(Connector[CountryRef, Country]):
    """GET /countries/{code}. On 429 or 503 the message waits in the broker for as long as the service says."""

    name = "fetch-country"
    application = World

    async def process(self, message: Message[CountryRef]) -> Message[Country]:
        """Add what the service knows. An answer that is no `Country` sends the message to the trash."""
        response = await self.service.get("/countries/{code}", message.data)
        return message.with_data(response.model(Country))


class OnlyDivided(CustomNode[Country, Country]):
    """Lets countries pass that are divided into regions."""

    name = "only-divided"

    async def process(self, message: Message[Country]) -> Message[Country]:
        """End the way of all others here, as a success."""
        if not message.data.parts:
            raise DoNotContinue(f"{message.data.name} is not divided")
        return message


class CountryToRow(CustomNode[Country, Row]):
    """Makes a line of the result of a country."""

    name = "country-to-row"

    async def process(self, message: Message[Country]) -> Message[Row]:
        """Count the regions; most of them are of one kind."""
        country = message.data
        return message.with_data(
            Row(
                code=country.code,
                country=country.name,
                flag=country.flag,
                currency=country.currency,
                kind=mode(part.kind for part in country.parts),
                parts=len(country.parts),
            )
        )


class WriteRow(CustomNode[Row, Row]):
    """Writes the result, a JSON line for each country."""

    name = "write-row"

    async def process(self, message: Message[Row]) -> Message[Row]:
        """Append the line. A message may arrive twice, after a crash: readers go by the code."""
        await asyncio.to_thread(append, ROWS, message.data.model_dump_json())
        return message


class TallyRow(Connector[Row, Row]):
    """PUT /tally/{code}: the service counts countries by the kind of their parts."""

    name = "tally-row"
    application = Tally

    async def process(self, message: Message[Row]) -> Message[Row]:
        """Put the row there. A message may arrive twice: a PUT counts once."""
        row = message.data
        await self.service.put(f"/tally/{row.code}", json={"kind": row.kind, "parts": row.parts})
        return message


def append(path: Path, line: str) -> None:
    """Add a line to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
