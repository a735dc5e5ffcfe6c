"""A REST service over the records, as capricious as a real one: slow at times, busy at times, and once wrong.

    GET  /countries?cursor=      fifty codes and the cursor of the next page
    GET  /countries/{code}       one record; some first requests get 429 or 503 with a Retry-After
    PUT  /tally/{code}           note a country's kind of parts; 401 without the token
    POST /admin/repair/{code}    mend a record

Its moods come from a fixed seed: each run shows the same ones.
"""

import asyncio
import hmac
import random
import secrets
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from examples.demo.records import Record

PAGE_SIZE = 50
LIMIT_CALLS, LIMIT_SECONDS = 50, 2
"""At most so many GETs in any so many seconds."""

SEED = "orchesty"
BUSY, AWAY = HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE
MOODS: Mapping[tuple[HTTPStatus, ...], int] = {(): 82, (BUSY,): 2, (AWAY,): 15, (BUSY, AWAY): 1}
"""What the first requests for a country get instead of an answer, and how many countries in a hundred."""

LONGEST_RETRY_AFTER: Mapping[HTTPStatus, int] = {BUSY: 1, AWAY: 4}
"""Seconds. An answer 429 lets all calls wait, as it tells of the limit; an answer 503 only its own."""

BROKEN = "NA"
"""Namibia: its code has been read as "not available", as happens to careless readers of CSV files."""


class WorldService:
    """The service's state and its endpoints."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self.url = ""
        self.token = secrets.token_urlsafe(24)
        """What one needs for the tally."""
        self.answers: Counter[int] = Counter()
        """How often each status was answered."""
        self._records = dict(records)
        self._records[BROKEN] = {**records[BROKEN], "code": None}
        self._original = records
        self._moods = {code: list(mood_of(code)) for code in records}
        self._tally: dict[str, Record] = {}
        self._calls: list[float] = []
        self._luck = random.Random(SEED)

    def tally(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many countries call their parts what, the commonest first."""
        kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for noted in self._tally.values():
            kinds[noted["kind"]] += Counter(countries=1, parts=noted["parts"])
        return dict(sorted(kinds.items(), key=lambda item: (-item[1]["countries"], item[0])))

    def busiest(self) -> int:
        """Return the most GETs that have come within `LIMIT_SECONDS`."""
        calls = self._calls
        return max(bisect_left(calls, moment + LIMIT_SECONDS) - index for index, moment in enumerate(calls))

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[self._as_from_afar])
        application.add_routes(
            [
                web.get("/countries", self._list),
                web.get("/countries/{code}", self._get),
                web.put("/tally/{code}", self._note),
                web.post("/admin/repair/{code}", self._repair),
            ]
        )
        return application

    @web.middleware
    async def _as_from_afar(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Take the time that a service elsewhere would take."""
        if request.method == "GET":
            self._calls.append(time.monotonic())
        await asyncio.sleep(self._luck.uniform(0.02, 0.25))
        response = await handler(request)
        self.answers[response.status] += 1
        return response

    async def _list(self, request: web.Request) -> web.Response:
        start = int(request.query.get("cursor", 0))
        end = start + PAGE_SIZE
        codes = list(self._records)
        following = str(end) if end < len(codes) else None
        return web.json_response({"items": [{"code": code} for code in codes[start:end]], "next": following})

    async def _get(self, request: web.Request) -> web.Response:
        code = request.match_info["code"]
        if self._moods[code]:
            return self._not_now(self._moods[code].pop(0))
        return web.json_response(self._records[code])

    def _not_now(self, status: HTTPStatus) -> web.Response:
        retry_after = str(self._luck.randint(1, LONGEST_RETRY_AFTER[status]))
        return web.json_response({"error": status.phrase}, status=status, headers={"Retry-After": retry_after})

    async def _note(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return web.json_response({"error": "no token, or a wrong one"}, status=HTTPStatus.UNAUTHORIZED)
        self._tally[request.match_info["code"]] = await request.json()
        return web.json_response({})

    async def _repair(self, request: web.Request) -> web.Response:
        code = request.match_info["code"]
        self._records[code] = self._original[code]
        return web.json_response(self._records[code])


def mood_of(code: str) -> tuple[HTTPStatus, ...]:
    """Return what the first requests for this country get instead of an answer; in every run the same."""
    luck = random.Random(f"{SEED} {code}")
    return luck.choices(list(MOODS), weights=list(MOODS.values()))[0]


@asynccontextmanager
async def serve(records: Mapping[str, Record]) -> AsyncIterator[WorldService]:
    """Answer on a free port of the loopback interface while the context is open."""
    service = WorldService(records)
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        service.url = f"http://{host}:{port}"
        yield service
    finally:
        await runner.cleanup()
