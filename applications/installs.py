"""The store of installs, in SQLite or PostgreSQL."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, delete, select, update
from sqlalchemy.engine import RowMapping

from applications.crypt import Keyring
from applications.database import Database, now_ms
from applications.errors import ApplicationError
from applications.install import Install
from applications.tables import installs
from applications.token import Token

LEASE_SECONDS: Final = 60
"""How long a process may take for a refresh before another one may try; longer than the call's time limit."""
TOKEN_PLACE: Final = "token"  # noqa: S105 - the name of a place
"""Where a token stands, beside the fields of forms."""


class ChangedMeanwhile(ApplicationError):
    """Somebody else saved the same install."""


class Installs:
    """Who has installed which application, with settings and login.

    A token is saved only over one that an earlier refresh brought (`fence`), so that a process that was away for a
    while cannot put an older token over a newer one.
    """

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.keyring = keyring
        self._database = database

    async def add(self, user: str, application: str, *, is_enabled: bool) -> bool:
        """Install without settings; False when the user has it already."""
        now = now_ms()
        new = self._database.insert(installs).values(
            user=user, application=application, is_enabled=is_enabled, plain="{}", settings="{}", token=None,
            expires=0, problem="", fence=now, token_fence=now, lease_until=0, failures=0, retry_at=0, version=0,
            created=now, updated=now,
        )  # fmt: skip
        async with self._database.transaction() as connection:
            done = new.on_conflict_do_nothing().returning(installs.c.version)
            return (await connection.execute(done)).scalar_one_or_none() is not None

    async def get(self, user: str, application: str) -> Install | None:
        """Return the install, if there is one."""
        if "\x00" in user:  # no user of anybody's, and PostgreSQL takes no NUL
            return None
        async with self._database.transaction() as connection:
            query = select(installs).where(_is(user, application))
            row = (await connection.execute(query)).mappings().one_or_none()
        return _install(row) if row else None

    async def among(self, users: Collection[str], applications: Collection[str]) -> Sequence[Install]:
        """Return the installs of these users of these applications, without opening their secrets."""
        query = select(installs).where(installs.c.user.in_(users), installs.c.application.in_(applications))

        def work(connection: Connection) -> Sequence[Install]:
            return [_install(row) for row in connection.execute(query).mappings()]

        return await self._database.run(work)

    async def list(self, user: str = "", application: str = "") -> Sequence[Install]:
        """Return installs by application and user, without opening their secrets."""
        query = select(installs).order_by(installs.c.application, installs.c.user)
        for column, value in ((installs.c.user, user), (installs.c.application, application)):
            query = query.where(column == value) if value else query
        async with self._database.transaction() as connection:
            return [_install(row) for row in (await connection.execute(query)).mappings()]

    async def enable(self, user: str, application: str, *, is_enabled: bool) -> bool:
        """Switch on or off; False when there is none."""
        return await self._update(_is(user, application), is_enabled=is_enabled)

    async def remove(self, user: str, application: str) -> bool:
        """Delete for good, with settings and login; False when there was none."""
        async with self._database.transaction() as connection:
            return (await connection.execute(delete(installs).where(_is(user, application)))).rowcount == 1

    def settings(self, install: Install) -> dict[str, dict[str, Any]]:
        """Return the settings by form and field, opened. Raises `SecretsError`."""
        return {
            form: {
                field: json.loads(self.keyring.open(sealed, install.user, install.application, form, field))
                for field, sealed in fields.items()
            }
            for form, fields in install.sealed_settings.items()
        }

    def token(self, install: Install) -> Token | None:
        """Return the token, opened, if there is one. Raises `SecretsError`."""
        if install.sealed_token is None:
            return None
        place = (install.user, install.application, TOKEN_PLACE)
        return Token.from_json(self.keyring.open(install.sealed_token, *place))

    def seal_token(self, user: str, application: str, token: Token) -> str:
        """Return the token as it is stored."""
        return self.keyring.seal(token.to_json(), user, application, TOKEN_PLACE)

    async def save_settings(
        self, install: Install, settings: Mapping[str, Mapping[str, Any]], *, keeps_token: bool
    ) -> None:
        """Save all settings; the next refresh tries them. Raises `ChangedMeanwhile`.

        A token that only the old settings stand for is dropped unless `keeps_token`.
        """
        without = {} if keeps_token else {"token": None, "expires": 0, **_LATEST}
        await self._save(install, settings=self._sealed(install, settings), problem="", retry_at=0, **without)

    async def save_plain(self, install: Install, plain: Mapping[str, Any]) -> None:
        """Save the settings that are no secret. Raises `ChangedMeanwhile`."""
        await self._save(install, plain=json.dumps(dict(plain)))

    async def _save(self, install: Install, **values: Any) -> None:
        unchanged = and_(_is(install.user, install.application), installs.c.version == install.version)
        if not await self._update(unchanged, version=install.version + 1, **values):
            raise ChangedMeanwhile(
                f"{install.application} of user {install.user!r} was changed or removed meanwhile: try again"
            )

    async def lease(self, install: Install) -> int | None:
        """Get the right to refresh, with its number; None while another process has it, or has just done it."""
        now = self._database.now_ms
        free = (
            _is(install.user, install.application),
            installs.c.lease_until < now,
            installs.c.token_fence == install.token_fence,
        )
        values = {"fence": installs.c.fence + 1, "lease_until": now + LEASE_SECONDS * 1000}
        async with self._database.transaction() as connection:
            done = update(installs).where(*free).values(values).returning(installs.c.fence)
            fence: int | None = (await connection.execute(done)).scalar_one_or_none()
            return fence

    async def give_back(self, install: Install, fence: int) -> None:
        """Give back the right to refresh, when nothing came of it."""
        await self._update(_leased(install, fence), lease_until=0)

    async def save_login(self, user: str, application: str, token: Token) -> bool:
        """Save the token of a new login, which counts more than any refresh; False when the install is gone."""
        return await self._update(
            _is(user, application),
            token=self.seal_token(user, application, token),
            expires=_ms(token.expires),
            problem="",
            failures=0,
            retry_at=0,
            **_LATEST,
        )

    async def save_token(self, user: str, application: str, fence: int, sealed: str, expires: float | None) -> bool:
        """Save a token; False when a later one is there, or the install is gone."""
        return await self._update(
            and_(_is(user, application), installs.c.token_fence < fence),
            token=sealed,
            expires=_ms(expires),
            token_fence=fence,
            problem="",
            failures=0,
            retry_at=0,
            lease_until=case((installs.c.fence == fence, 0), else_=installs.c.lease_until),
        )

    async def mark_dead(self, install: Install, reason: str) -> bool:
        """Note that the login is dead; False when another token or other settings came meanwhile."""
        unchanged = and_(
            _is(install.user, install.application),
            installs.c.token_fence == install.token_fence,
            installs.c.version == install.version,
        )
        return await self._update(unchanged, problem=reason, lease_until=0)

    async def mark_away(self, install: Install, fence: int, retry_at: int) -> None:
        """Note that the token endpoint is away, for all processes, and give the right back."""
        await self._update(_leased(install, fence), failures=install.failures + 1, retry_at=retry_at, lease_until=0)

    async def rotate(self, install: Install) -> bool:
        """Seal what older keys sealed with the newest; False when there was nothing to do. Raises `SecretsError`."""
        sealed = [value for fields in install.sealed_settings.values() for value in fields.values()]
        is_changed = not all(map(self.keyring.is_newest, sealed))
        if is_changed:
            await self._save(install, settings=self._sealed(install, self.settings(install)))
        if install.sealed_token is None or self.keyring.is_newest(install.sealed_token):
            return is_changed
        token = self.token(install)
        assert token is not None, "looked at above"
        unchanged = and_(_is(install.user, install.application), installs.c.token == install.sealed_token)
        sealed_anew = self.seal_token(install.user, install.application, token)
        await self._update(unchanged, token=sealed_anew)  # a refresh meanwhile has sealed it with the newest
        return True

    def _sealed(self, install: Install, settings: Mapping[str, Mapping[str, Any]]) -> str:
        return json.dumps(
            {
                form: {
                    field: self.keyring.seal(json.dumps(value).encode(), install.user, install.application, form, field)
                    for field, value in fields.items()
                }
                for form, fields in settings.items()
            }
        )

    async def _update(self, which: ColumnElement[bool], **values: Any) -> bool:
        async with self._database.transaction() as connection:
            done = update(installs).where(which).values(updated=now_ms(), **values)
            return (await connection.execute(done)).rowcount == 1


_LATEST: Final[Mapping[str, Any]] = {
    "fence": installs.c.fence + 1,
    "token_fence": installs.c.fence + 1,
    "lease_until": 0,
}
"""Takes the right from any refresh under way: what that brings is older."""


def _ms(seconds: float | None) -> int:
    return int((seconds or 0) * 1000)


def _leased(install: Install, fence: int) -> ColumnElement[bool]:
    return and_(_is(install.user, install.application), installs.c.fence == fence)


def _is(user: str, application: str) -> ColumnElement[bool]:
    return and_(installs.c.user == user, installs.c.application == application)


def _install(row: RowMapping) -> Install:
    return Install(
        user=row["user"],
        application=row["application"],
        is_enabled=row["is_enabled"],
        plain=json.loads(row["plain"]),
        sealed_settings=json.loads(row["settings"]),
        sealed_token=row["token"],
        expires=row["expires"],
        problem=row["problem"],
        token_fence=row["token_fence"],
        failures=row["failures"],
        retry_at=row["retry_at"],
        version=row["version"],
        created=row["created"],
        updated=row["updated"],
    )
