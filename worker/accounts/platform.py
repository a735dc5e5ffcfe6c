"""Installs in the documents of the platform, which services in Node.js, PHP and Python share.

The documents have no place for what workers have to agree upon: who may refresh, and which token is the latest. So each
install has a note in a database of ours, beside the document: it has digests of the settings and the token, as this
store has seen or written them last. When the document has others, another service has changed it: that counts as
settings that a person has saved, or as a new login.
"""

import asyncio
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from applications.crypt import Keyring
from applications.errors import SecretsError
from applications.forms import Values
from applications.install import TOKEN_PLACE, Install, place_of
from applications.store import AccountStore
from applications.token import Token
from worker.accounts.platform_documents import milliseconds_of, plain_of, readable
from worker.accounts.platform_settings import SharedSettings, shared
from worker.documents.cipher import PlatformCipher
from worker.documents.client import Collection as Kind
from worker.documents.client import Document, DocumentClient

log = structlog.get_logger()

_ASKED_AT_ONCE: Final = 50
"""Users of one request, which has them in its address."""
_WRITES: Final = 3


@dataclass(frozen=True, slots=True)
class _Found:
    """A document with its content."""

    document: Document
    content: SharedSettings

    @property
    def place(self) -> tuple[str, str, str]:
        return self.document["user"], self.document["key"], str(self.document.get("sdk") or "")


class PlatformAccounts:
    """The `AccountStore` of all workers that use one installation of the platform."""

    def __init__(
        self, documents: DocumentClient, cipher: PlatformCipher, notes: AccountStore, keyring: Keyring
    ) -> None:
        """`notes` is shared by all workers that may refresh the same tokens."""
        self._documents = documents
        self._cipher = cipher
        self._notes = notes
        self._keyring = keyring

    async def add(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Add an install without settings, unless there is one."""
        if await self._found(user, application, sdk) is not None:
            return False
        now = _now()
        own = {"sdk": sdk} if sdk else {}
        new = {
            "_id": "", "user": user, "key": application, "enabled": is_enabled, "deleted": False, "created": now,
            "updated": now, "encryptedSettings": "", "nonEncryptedSettings": {},
        }  # fmt: skip
        await self._documents.save(Kind.INSTALLS, new | own)
        await self._notes.remove(user, application, sdk)  # of one that another service has removed
        return True

    async def get(self, user: str, application: str, sdk: str = "") -> Install | None:
        """Return the install, if there is one."""
        found = await self._found(user, application, sdk, is_fresh=False)
        return _install(found, await self._noted(found)) if found else None

    async def among(self, users: Collection[str], applications: Collection[str]) -> Sequence[Install]:
        """Return the installs of these users of these applications, in all services."""
        asked, found = list(users), list[_Found]()
        for start in range(0, len(asked), _ASKED_AT_ONCE):
            wanted = {"users": asked[start : start + _ASKED_AT_ONCE], "names": list(applications)}
            found += await self._read(wanted, is_fresh=False)
        return [_install(one, await self._noted(one)) for one in found]

    async def list(self, user: str = "", application: str = "", sdk: str = "") -> Sequence[Install]:
        """Return installs by application, user and service, all or only those that are named."""
        named = {"users": user, "names": application, "sdks": sdk}
        found = await self._read({name: [value] for name, value in named.items() if value})
        notes = {(one.user, one.application, one.sdk): one for one in await self._notes.list(user, application, sdk)}
        installs = [_install(one, notes.get(one.place) or await self._noted(one)) for one in found]
        return sorted(installs, key=lambda one: (one.application, one.user, one.sdk))

    async def enable(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Switch an install on or off."""
        found = await self._found(user, application, sdk)
        return found is not None and await self._write(found, enabled=is_enabled)

    async def remove(self, user: str, application: str, sdk: str = "") -> bool:
        """Delete an install."""
        documents = await self._of(user, application, sdk)
        await self._documents.delete(Kind.INSTALLS, [one["_id"] for one in documents])
        await self._notes.remove(user, application, sdk)
        return bool(documents)

    async def save_settings(self, install: Install, settings: Values, *, keeps_token: bool) -> bool:
        """Save other settings, with which the next refresh is tried, unless the install changed meanwhile."""
        found, note = await self._unchanged(install)
        if found is None or note is None:
            return False
        content = found.content.having(settings, keeps_token=keeps_token)
        digests = _digests(shared(content))
        if not await self._notes.save_settings(note, {"": {"settings": digests[0]}}, keeps_token=keeps_token):
            return False
        return await self._write(found, content)

    async def save_plain(self, install: Install, plain: Mapping[str, Any]) -> bool:
        """Save the settings that are not secret, unless the install changed meanwhile."""
        found, note = await self._unchanged(install)
        if found is None or note is None or not await self._notes.save_plain(note, {"plain": _digest(dict(plain))}):
            return False
        return await self._write(found, nonEncryptedSettings=dict(plain))

    async def reseal(self, install: Install) -> bool | None:
        """Do nothing: the platform has one secret."""
        return False

    async def lease(self, install: Install, seconds: float) -> int | None:
        """Give the right to refresh, with its number, or None; see `AccountStore.lease`.

        The document is read anew: another service may have refreshed.
        """
        found = await self._found(install.user, install.application, install.sdk)
        if found is None:
            return None
        note = await self._noted(found)
        return None if note.token_fence != install.token_fence else await self._notes.lease(note, seconds)

    async def give_back(self, install: Install, fence: int) -> None:
        """Take the right back, if it is still the one with this number."""
        await self._notes.give_back(install, fence)

    async def save_login(
        self, user: str, application: str, sealed: str, expires: float | None, *, sdk: str = ""
    ) -> bool:
        """Save the token of a new login, which counts more than any refresh."""
        found = await self._found(user, application, sdk)
        if found is None or not await self._write_token(found, sealed):
            return False
        await self._noted(found)
        return await self._notes.save_login(*found.place[:2], self._mark(found.place, sealed), expires, sdk=sdk)

    async def save_token(
        self, user: str, application: str, fence: int, sealed: str, expires: float | None, *, sdk: str = ""
    ) -> bool:
        """Save the token of a refresh, unless that of a later one is there."""
        found = await self._found(user, application, sdk)
        if found is None or (await self._noted(found)).token_fence >= fence:
            return False
        if not await self._write_token(found, sealed):
            return False
        return await self._notes.save_token(user, application, fence, self._mark(found.place, sealed), expires, sdk=sdk)

    async def mark_dead(self, install: Install, reason: str) -> bool:
        """Note that the login is dead, unless another token or other settings came meanwhile."""
        found = await self._found(install.user, install.application, install.sdk)
        if found is None:
            return False
        await self._noted(found)
        return await self._notes.mark_dead(install, reason)

    async def mark_away(self, install: Install, fence: int, seconds: float) -> None:
        """Note for how long the token endpoint is away, and take the right back, if it is still that of this number."""
        await self._notes.mark_away(install, fence, seconds)

    async def add_login(self, login: str, sealed: str, expires: int) -> None:
        """Keep what a login under way needs until this time, in milliseconds; forget what has expired."""
        await self._notes.add_login(login, sealed, expires)

    async def take_login(self, login: str) -> str | None:
        """Return what was kept, to one caller only."""
        return await self._notes.take_login(login)

    async def close(self) -> None:
        """Close the connections."""
        await self._documents.close()
        await self._notes.close()

    async def _of(self, user: str, application: str, sdk: str, *, is_fresh: bool = True) -> Sequence[Document]:
        """Return the documents of one install; a service of Node.js may have made several."""
        wanted = {"users": [user], "names": [application], "enabled": None}
        found = readable(await self._documents.find(Kind.INSTALLS, wanted, is_fresh=is_fresh))
        return sorted(
            (one for one in found if (one.get("sdk") or "") == sdk),
            key=lambda one: (not one.get("enabled"), str(one["_id"])),
        )

    async def _found(self, user: str, application: str, sdk: str, *, is_fresh: bool = True) -> _Found | None:
        """Return an install; of several the one that is switched on, else the oldest."""
        documents = await self._of(user, application, sdk, is_fresh=is_fresh)
        if len(documents) > 1:
            log.warning("install_twice", application=application, userId=user, used=documents[0]["_id"])
        return await self._opened(documents[0]) if documents else None

    async def _read(self, wanted: Mapping[str, Any], *, is_fresh: bool = True) -> Sequence[_Found]:
        documents = readable(await self._documents.find(Kind.INSTALLS, {**wanted, "enabled": None}, is_fresh=is_fresh))
        first: dict[tuple[str, str, str], Document] = {}
        for one in sorted(documents, key=lambda one: (not one.get("enabled"), str(one["_id"]))):
            first.setdefault((one["user"], one["key"], one.get("sdk") or ""), one)
        return [await self._opened(one) for one in first.values()]

    async def _opened(self, document: Document) -> _Found:
        """Open a document in a thread: keys are derived at some cost."""
        return _Found(document, await asyncio.to_thread(self._content, document))

    def _content(self, document: Document) -> SharedSettings:
        sealed = document.get("encryptedSettings")
        if not sealed:
            return shared(document.get("settings"))
        place = place_of(document["user"], document["key"], document.get("sdk") or "")
        try:
            return shared(self._cipher.open(sealed if isinstance(sealed, str) else "", *place))
        except SecretsError as error:
            return SharedSettings({}, error)

    async def _noted(self, found: _Found) -> Install:
        """Return the note of an install, after it has learnt what other services have changed."""
        note = await self._notes.get(*found.place)
        if note is None:
            await self._notes.add(*found.place, is_enabled=True)
            note = await self._notes.get(*found.place)
            assert note is not None, "it was just added"
        if found.content.error is not None or not await self._learn(found, note):
            return note
        return await self._notes.get(*found.place) or note

    async def _learn(self, found: _Found, note: Install) -> bool:
        """Return whether anything was new."""
        settings, token = _digests(found.content)
        held, mark, plain = (
            note.sealed.settings(),
            note.sealed.token(),
            _digest(plain_of(found.document)),
        )
        is_other_token = (mark.access_token if mark else "") != token
        if is_other_token:
            sealed = self._sealed_mark(found.place, token)
            held_token = found.content.token()
            await self._notes.save_login(
                *found.place[:2], sealed, held_token.expires if held_token else None, sdk=found.place[2]
            )
        is_other = held.get("", {}).get("settings", _NOTHING) != settings
        if is_other:
            await self._notes.save_settings(note, {"": {"settings": settings}}, keeps_token=True)
            note = await self._notes.get(*found.place) or note
        is_other_plain = note.plain.get("plain", _NOTHING) != plain
        if is_other_plain:
            await self._notes.save_plain(note, {"plain": plain})
        return is_other_token or is_other or is_other_plain

    async def _unchanged(self, install: Install) -> tuple[_Found | None, Install | None]:
        """Return document and note, if they are as the install was read. Raises `SecretsError`."""
        found = await self._found(install.user, install.application, install.sdk)
        if found is None:
            return None, None
        note = await self._noted(found)
        return found, note if note.version == install.version else None

    async def _write_token(self, found: _Found, sealed: str) -> bool:
        """Write a token; once more when another service has put the one from before over it."""
        token = Token.from_json(self._keyring.open(sealed, *place_of(*found.place), TOKEN_PLACE))
        expires = _iso(token.expires) if token.expires else None
        before, own = _token_mark(found.content), _token_digest(token)
        for _ in range(_WRITES):
            if await self._write(found, found.content.with_token(token), expires=expires):
                return True
            again = await self._found(*found.place)
            if again is None or _token_mark(again.content) not in {before, own}:
                return False
            found = again
        return _token_mark(found.content) == own

    async def _write(self, found: _Found, content: Values | None = None, **changes: Any) -> bool:
        """Change a document; False when it is gone, or another service has written over it at the same moment."""
        if found.content.error is not None and content is not None:
            raise found.content.error
        if content is not None:
            sealed = await asyncio.to_thread(self._cipher.seal, content) if content else ""
            changes |= {"encryptedSettings": sealed} | ({} if content else {"settings": {}})
        changes["updated"] = _now()
        await self._documents.save(Kind.INSTALLS, {"_id": found.document["_id"], **changes})
        wanted = {"ids": [found.document["_id"]], "enabled": None}
        kept = await self._documents.find(Kind.INSTALLS, wanted, is_fresh=True)
        del changes["updated"]
        return any(all(one.get(name) == value for name, value in changes.items()) for one in kept)

    def _mark(self, place: tuple[str, str, str], sealed: str) -> str:
        token = Token.from_json(self._keyring.open(sealed, *place_of(*place), TOKEN_PLACE))
        return self._sealed_mark(place, _token_digest(token))

    def _sealed_mark(self, place: tuple[str, str, str], digest: str) -> str:
        """Return the mark of a token as the notes take it, which stand for tokens there."""
        return self._keyring.seal(Token(digest).to_json(), *place_of(*place), TOKEN_PLACE)


def _install(found: _Found, note: Install) -> Install:
    document, token = found.document, None if found.content.error else found.content.token()
    return replace(
        note,
        is_enabled=document.get("enabled") is True,
        plain=plain_of(document),
        sealed=found.content,
        expires=int((token.expires or 0) * 1000) if token else 0,
        created=milliseconds_of(document.get("created")),
        updated=milliseconds_of(document.get("updated")),
    )


def _digests(content: SharedSettings) -> tuple[str, str]:
    """Return marks of settings and token by which changes are seen; nothing follows from them."""
    return _digest(content.settings()), _token_mark(content)


def _token_mark(content: SharedSettings) -> str:
    token = content.token()
    return _token_digest(token) if token else ""


def _token_digest(token: Token) -> str:
    return _digest([token.access_token, token.refresh_token])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


_NOTHING: Final = _digest({})


def _now() -> str:
    return _iso(datetime.now(UTC).timestamp())


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
