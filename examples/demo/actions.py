"""The actions of the demonstration: what an author writes.

Models say what goes into a node and what comes out. A plain call is a declaration, logic around a call a class, a
custom node a function. Repeats, limits, the trash and the way to the next node are the worker's business and take no
line here.
"""

from pathlib import Path
from statistics import mode

from pydantic import BaseModel, Field, SecretStr

from applications import Application, Bearer, Form
from connectors import Connector, CursorParam, Endpoints, Message, Stop, custom_node

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


world = Endpoints(World)

list_countries = world.list(
    "list-countries",
    "/countries",
    object,
    CountryRef,
    pages=CursorParam(next="next"),
    at="items",
    doc="Lists countries page by page; a page's countries are on their way before the next page is asked for.",
)

fetch_country = world.get(
    "fetch-country",
    "/countries/{code}",
    CountryRef,
    Country,
    doc="Gets a country. On 429 or 503 the message waits in the broker for as long as the service says.",
)


class TallyRow(Connector[Row, Row]):
    """PUT /tally/{code}: the service counts countries by the kind of their parts."""

    name = "tally-row"
    application = Tally

    async def process(self, message: Message[Row]) -> Message[Row]:
        """Put the row there and pass it on. A message may arrive twice: a PUT counts once."""
        row = message.data
        await self.put("/tally/{code}", row, json={"kind": row.kind, "parts": row.parts})
        return message


@custom_node("only-divided")
async def only_divided(country: Country) -> Country:
    """Lets countries pass that are divided into regions; for all others the branch ends here, as a success."""
    if not country.parts:
        raise Stop(f"{country.name} is not divided")
    return country


@custom_node("country-to-row")
async def country_to_row(country: Country) -> Row:
    """Makes a line of the result of a country; most of its regions are of one kind."""
    return Row(
        code=country.code,
        country=country.name,
        flag=country.flag,
        currency=country.currency,
        kind=mode(part.kind for part in country.parts),
        parts=len(country.parts),
    )


@custom_node("write-row")
def write_row(row: Row) -> Row:
    """Writes the result, a JSON line for each country. A message may arrive twice: readers go by the code."""
    append(ROWS, row.model_dump_json())
    return row


def append(path: Path, line: str) -> None:
    """Add a line to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
