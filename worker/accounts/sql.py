"""Installs and logins in SQLite or PostgreSQL."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, delete, literal_column, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from applications.crypt import Keyring
from applications.errors import InstallsAway
from applications.forms import Values
from applications.install import TOKEN_PLACE, Install, place_of
from worker.accounts.sealing import SealedFields, seal
from worker.accounts.tables import CHAIN, installs, logins
from worker.database.transactions import Database, now_ms
from worker.errors import StoreError

_AWAY_FOR = timedelta(seconds=30)

Result = TypeVar("Result")


class InstallsDatabase(Database):
    """The database that installs and logins share with webhooks. It raises `InstallsAway`, which applications know."""

    def __init__(self, url: str) -> None:
        super().__init__(url, CHAIN)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction."""
        with _installs_away():
            async with super().transaction() as connection:
                yield connection

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in a transaction, for what is done hundreds of times a second."""
        with _installs_away():
            return await super().run(work)


@contextmanager
def _installs_away() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise InstallsAway(f"the database of the installs refuses: {error}", _AWAY_FOR) from error


class SqlAccounts:
    """The `AccountStore` of all processes that use this database.

    A token is saved only over one that an earlier refresh brought (`fence`), so that a process that was away for a
    while cannot put an older token over a newer one.
    """

    def __init__(self, database: InstallsDatabase, keyring: Keyring) -> None:
        self.database = database
        self._keyring = keyring

    async def add(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Add an install without settings, unless there is one."""
        now = now_ms()
        new = self.database.insert(installs).values(
            user=user, application=application, sdk=sdk, is_enabled=is_enabled, plain="{}", settings="{}", token=None,
            expires=0, problem="", fence=now, token_fence=now, lease_until=0, failures=0, retry_at=0, version=0,
            created=now, updated=now,
        )  # fmt: skip
        async with self.database.transaction() as connection:
            done = new.on_conflict_do_nothing().returning(installs.c.version)
            return (await connection.execute(done)).scalar_one_or_none() is not None

    async def get(self, user: str, application: str, sdk: str = "") -> Install | None:
        """Return the install, if there is one."""
        async with self.database.transaction() as connection:
            query = self._select().where(_is(user, application, sdk))
            row = (await connection.execute(query)).mappings().one_or_none()
        return self._install(row) if row else None

    async def among(self, users: Collection[str], applications: Collection[str]) -> Sequence[Install]:
        """Return the installs of these users of these applications, in all services."""
        query = self._select().where(installs.c.user.in_(users), installs.c.application.in_(applications))

        def work(connection: Connection) -> Sequence[Install]:
            return [self._install(row) for row in connection.execute(query).mappings()]

        return await self.database.run(work)

    async def list(self, user: str = "", application: str = "", sdk: str = "") -> Sequence[Install]:
        """Return installs by application, user and service, all or only those that are named."""
        query = self._select().order_by(installs.c.application, installs.c.user, installs.c.sdk)
        named = ((installs.c.user, user), (installs.c.application, application), (installs.c.sdk, sdk))
        for column, value in named:
            query = query.where(column == value) if value else query
        async with self.database.transaction() as connection:
            return [self._install(row) for row in (await connection.execute(query)).mappings()]

    async def enable(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Switch an install on or off."""
        return await self._update(_is(user, application, sdk), is_enabled=is_enabled)

    async def remove(self, user: str, application: str, sdk: str = "") -> bool:
        """Delete an install."""
        async with self.database.transaction() as connection:
            return (await connection.execute(delete(installs).where(_is(user, application, sdk)))).rowcount == 1

    async def save_settings(self, install: Install, settings: Values, *, keeps_token: bool) -> bool:
        """Save other settings, with which the next refresh is tried, unless the install changed meanwhile."""
        without = {} if keeps_token else {"token": None, "expires": 0, **_LATEST}
        sealed = seal(self._keyring, install.place, settings)
        return await self._save(install, settings=json.dumps(sealed), problem="", retry_at=0, **without)

    async def save_plain(self, install: Install, plain: Mapping[str, Any]) -> bool:
        """Save the settings that are not secret, unless the install changed meanwhile."""
        return await self._save(install, plain=json.dumps(dict(plain)))

    async def reseal(self, install: Install) -> bool | None:
        """Seal with the newest key what older ones have sealed; None when the install changed meanwhile."""
        sealed = install.sealed
        assert isinstance(sealed, SealedFields), "this store has made it"
        if not sealed.has_newest_settings:
            anew = seal(self._keyring, install.place, sealed.settings())
            if not await self._save(install, settings=json.dumps(anew)):
                return None
        token = None if sealed.has_newest_token else sealed.token()
        if token is not None:
            unchanged = and_(_is_same(install), installs.c.token == sealed.sealed_token)
            own = self._keyring.seal(token.to_json(), *install.place, TOKEN_PLACE)
            await self._update(unchanged, token=own)  # a refresh meanwhile has sealed it with the newest
        return not sealed.has_newest_settings or token is not None

    async def lease(self, install: Install, seconds: float) -> int | None:
        """Give the right to refresh, with its number, or None; see `AccountStore.lease`."""
        now = self._now
        free = (
            _is_same(install),
            installs.c.lease_until < now,
            installs.c.retry_at <= now,
            installs.c.problem == "",
            installs.c.token_fence == install.token_fence,
        )
        values = {"fence": installs.c.fence + 1, "lease_until": now + int(seconds * 1000)}
        async with self.database.transaction() as connection:
            done = update(installs).where(*free).values(values).returning(installs.c.fence)
            fence: int | None = (await connection.execute(done)).scalar_one_or_none()
            return fence

    async def give_back(self, install: Install, fence: int) -> None:
        """Take the right back, if it is still the one with this number."""
        await self._update(_leased(install, fence), lease_until=0)

    async def save_login(
        self, user: str, application: str, sealed: str, expires: float | None, *, sdk: str = ""
    ) -> bool:
        """Save the token of a new login, which counts more than any refresh."""
        return await self._update(
            _is(user, application, sdk),
            token=sealed,
            expires=_ms(expires),
            problem="",
            failures=0,
            retry_at=0,
            **_LATEST,
        )

    async def save_token(
        self, user: str, application: str, fence: int, sealed: str, expires: float | None, *, sdk: str = ""
    ) -> bool:
        """Save the token of a refresh, unless that of a later one is there."""
        return await self._update(
            and_(_is(user, application, sdk), installs.c.token_fence < fence),
            token=sealed,
            expires=_ms(expires),
            token_fence=fence,
            problem="",
            failures=0,
            retry_at=0,
            lease_until=case((installs.c.fence == fence, 0), else_=installs.c.lease_until),
        )

    async def mark_dead(self, install: Install, reason: str) -> bool:
        """Note that the login is dead, unless another token or other settings came meanwhile."""
        unchanged = and_(
            _is_same(install),
            installs.c.token_fence == install.token_fence,
            installs.c.version == install.version,
        )
        return await self._update(unchanged, problem=reason, lease_until=0)

    async def mark_away(self, install: Install, fence: int, seconds: float) -> None:
        """Note for how long the token endpoint is away, and take the right back, if it is still that of this number."""
        retry_at = self._now + int(seconds * 1000)
        await self._update(_leased(install, fence), failures=install.failures + 1, retry_at=retry_at, lease_until=0)

    async def add_login(self, login: str, sealed: str, expires: int) -> None:
        """Keep what a login under way needs until this time, in milliseconds; forget what has expired."""
        async with self.database.transaction() as connection:
            await connection.execute(delete(logins).where(logins.c.expires < now_ms()))
            await connection.execute(logins.insert().values(id=login, sealed=sealed, expires=expires))

    async def take_login(self, login: str) -> str | None:
        """Return what was kept, to one caller only."""
        async with self.database.transaction() as connection:
            done = delete(logins).where(logins.c.id == login).returning(logins.c.sealed)
            return (await connection.execute(done)).scalar_one_or_none()

    async def close(self) -> None:
        """Close the connections."""
        await self.database.close()

    @property
    def _now(self) -> ColumnElement[int]:
        """The time of the database, in milliseconds; SQLite's is that of the machine, however a process counts."""
        return self.database.now_ms if self.database.is_postgresql else _SQLITE_NOW

    def _select(self) -> Select[Any]:
        return select(installs, self._now.label("read_at"))

    def _install(self, row: RowMapping) -> Install:
        names = ("user", "application", "sdk")
        place = place_of(*(row[name] for name in names))
        sealed = SealedFields(self._keyring, place, json.loads(row["settings"]), row["token"])
        same = {name: row[name] for name in Install.__dataclass_fields__ if name not in {"plain", "sealed"}}
        return Install(plain=json.loads(row["plain"]), sealed=sealed, **same)

    async def _save(self, install: Install, **values: Any) -> bool:
        unchanged = and_(_is_same(install), installs.c.version == install.version)
        return await self._update(unchanged, version=install.version + 1, **values)

    async def _update(self, which: ColumnElement[bool], **values: Any) -> bool:
        async with self.database.transaction() as connection:
            done = update(installs).where(which).values(updated=now_ms(), **values)
            return (await connection.execute(done)).rowcount == 1


_LATEST: Final[Mapping[str, Any]] = {
    "fence": installs.c.fence + 1,
    "token_fence": installs.c.fence + 1,
    "lease_until": 0,
}
"""Takes the right from any refresh under way: what that brings is older."""


_SQLITE_NOW: Final[ColumnElement[int]] = literal_column(
    "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", BigInteger
)


def _ms(seconds: float | None) -> int:
    return int((seconds or 0) * 1000)


def _leased(install: Install, fence: int) -> ColumnElement[bool]:
    return and_(_is_same(install), installs.c.fence == fence)


def _is_same(install: Install) -> ColumnElement[bool]:
    return _is(install.user, install.application, install.sdk)


def _is(user: str, application: str, sdk: str) -> ColumnElement[bool]:
    return and_(installs.c.user == user, installs.c.application == application, installs.c.sdk == sdk)
