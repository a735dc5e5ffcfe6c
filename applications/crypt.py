"""Secrets at rest: AES-256-GCM, each value bound to the place where it stands.

A sealed value is `v1.{key id}.{base64url of nonce and ciphertext}`. The place (user, application, form, field) is
authenticated with it, so that a value that is moved to another user or field does not open there.
"""

import json
import re
import secrets
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from applications.errors import CannotDecrypt, KeyMissing

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY = re.compile(r"([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/_-]{43}=?)")
_CURE = "Set WORKER_SECRET_KEYS or WORKER_SECRET_KEYS_FILE; make a key with: orchesty-worker secrets generate"


class Keyring:
    """Seals with the newest key and opens with any of them."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take keys of 32 bytes by their ids, the newest first. Without keys nothing is sealed or opened."""
        self._keys = dict(keys)
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._newest = next(iter(keys), "")

    @classmethod
    def read(cls, text: str) -> "Keyring":
        """Read `id:key` pairs, parted by commas or white space, the newest first. Raises `KeyMissing`."""
        keys: dict[str, bytes] = {}
        for number, part in enumerate(re.split(r"[,\s]+", text.strip()) if text.strip() else [], start=1):
            match = _KEY.fullmatch(part)
            if match is None or match[1] in keys:
                raise KeyMissing(f"key {number} is not id:key (base64 of 32 bytes), or has the id of another. {_CURE}")
            keys[match[1]] = b64decode(match[2].rstrip("=").translate(_STANDARD) + "=", validate=True)
        return cls(keys)

    @classmethod
    def derived(cls, key_id: str, secret: str) -> "Keyring":
        """Return a key that follows from a secret of another use."""
        derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"orchesty-worker secrets at rest").derive(secret.encode())
        return cls({key_id: derived})

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys, the newest first."""
        return list(self._ciphers)

    def seal(self, plain: bytes, *place: str) -> str:
        """Encrypt with the newest key. Raises `KeyMissing` when there is none."""
        if not self._newest:
            raise KeyMissing(f"there is no key for secrets. {_CURE}")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = self._ciphers[self._newest].encrypt(nonce, plain, _bound_to(place))
        return f"v1.{self._newest}.{urlsafe_b64encode(nonce + box).decode().rstrip('=')}"

    def open(self, sealed: str, *place: str) -> bytes:
        """Decrypt. Raises `CannotDecrypt` or `KeyMissing` that name the place, never the value."""
        where = " / ".join(place)
        version, _, rest = sealed.partition(".")
        name, _, box = rest.partition(".")
        if version != "v1" or not box:
            raise CannotDecrypt(f"the secret at {where} is not in the worker's format for encrypted values")
        if name not in self._ciphers:
            here = ", ".join(self._ciphers) or "none"
            raise KeyMissing(f"the secret at {where} needs the key {name!r}; keys here: {here}. {_CURE}")
        try:
            raw = urlsafe_b64decode(box + "=" * (-len(box) % 4))
            return self._ciphers[name].decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(place))
        except (InvalidTag, ValueError):
            raise CannotDecrypt(
                f"the secret at {where} does not open with the key {name!r}: the key is another one of that id, or the "
                "value was changed or moved"
            ) from None

    def seal_alike(self, plain: bytes, *place: str) -> str:
        """As `seal`, but always to the same (AES-SIV, RFC 5297), which tells that two texts are equal.

        Raises `KeyMissing` when there is no key.
        """
        if not self._newest:
            raise KeyMissing(f"there is no key for secrets. {_CURE}")
        box = self._alike(self._newest).encrypt(plain, [_bound_to(place)])
        return f"s1.{self._newest}.{urlsafe_b64encode(box).decode().rstrip('=')}"

    def open_alike(self, sealed: str, *place: str) -> bytes:
        """Decrypt what `seal_alike` has sealed. Raises `CannotDecrypt` that names the place, never the value."""
        version, _, rest = sealed.partition(".")
        name, _, box = rest.partition(".")
        where = " / ".join(place)
        if version != "s1" or name not in self._keys:
            raise CannotDecrypt(f"what is sealed at {where} opens with none of the keys here")
        try:
            return self._alike(name).decrypt(urlsafe_b64decode(box + "=" * (-len(box) % 4)), [_bound_to(place)])
        except (InvalidTag, ValueError):
            raise CannotDecrypt(f"what is sealed at {where} was changed or moved, or has another key") from None

    def _alike(self, name: str) -> AESSIV:
        return AESSIV(HKDF(SHA256(), 2 * KEY_BYTES, salt=None, info=b"sealed alike").derive(self._keys[name]))

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key sealed the value."""
        return sealed.split(".")[1:2] == [self._newest]


@dataclass(frozen=True, slots=True)
class PlaceSealer:
    """Seals the places of next pages, which may hold tokens, for one install."""

    keyring: Keyring
    place: tuple[str, ...]

    def seal(self, text: str) -> str:
        """Return what nobody can read without the key; always the same."""
        return self.keyring.seal_alike(text.encode(), *self.place, "cursor")

    def open(self, sealed: str) -> str:
        """Return the text. Raises `CannotDecrypt`."""
        return self.keyring.open_alike(sealed, *self.place, "cursor").decode()


_STANDARD = str.maketrans("-_", "+/")


def new_key(key_id: str) -> str:
    """Make a key, as `Keyring.read` takes it."""
    return f"{key_id}:{b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _bound_to(place: tuple[str, ...]) -> bytes:
    return json.dumps(place).encode()
