"""The encryption that the platform's services share: version `002_` of its SDKs, with the secret `CRYPT_SECRET`.

`002_{hmac}:{salt}:{nonce}:{box}`, each part in base64. The box is libsodium's secretbox of the value in PHP's
serialization, its key the secret, repeated up to 32 bytes. The HMAC is over salt, nonce and box, with a key that is
derived from secret and salt. Nonce and salt are new for each value.
"""

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from functools import lru_cache
from typing import Any, Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from applications.errors import CannotDecrypt, KeyMissing
from worker.documents import php

PREFIX: Final = "002_"
_SALT_BYTES: Final = 32
_ROUNDS: Final = 12_000
_KEPT_SALTS: Final = 4096
"""Keys in memory. Deriving one takes milliseconds, and a Node.js process has one salt for all it writes."""
_PARTS: Final = 4
_OTHERS: Final = re.compile(r"\d\d\w?_")


class PlatformCipher:
    """Seals and opens values as the platform's SDKs do. It takes CPU time: not for the event loop."""

    def __init__(self, secret: str) -> None:
        """Raises `KeyMissing` for a secret that no SDK can use."""
        key = (secret * SecretBox.KEY_SIZE)[: SecretBox.KEY_SIZE]
        if not key or not key.isascii():
            raise KeyMissing("CRYPT_SECRET is empty or has other than ASCII characters: take the platform's")
        self._key = key.encode()
        self._box = SecretBox(self._key)
        self._hmac_key = lru_cache(_KEPT_SALTS)(self._derived)

    def seal(self, value: Any) -> str:
        """Encrypt a JSON value. Raises `ValueError` for what JSON cannot hold."""
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(SecretBox.NONCE_SIZE)
        box = self._box.encrypt(php.write(value), nonce).ciphertext
        return PREFIX + ":".join(b64encode(part).decode() for part in (self._mac(salt, nonce, box), salt, nonce, box))

    def open(self, sealed: str, *place: str) -> Any:
        """Decrypt. Raises `CannotDecrypt` that names the place, never the value."""
        where = " / ".join(place)
        if not sealed.startswith(PREFIX):
            what = f"version {sealed[:3]!r}" if _OTHERS.match(sealed) else "no version"
            raise CannotDecrypt(
                f"the secret at {where} is encrypted with {what} of the platform's, not with {PREFIX!r}"
            )
        parts = sealed.removeprefix(PREFIX).split(":")
        if len(parts) < _PARTS:
            raise CannotDecrypt(f"the secret at {where} is cut off: it has {len(parts)} of {_PARTS} parts")
        try:
            given, salt, nonce, box = map(_decoded, parts[:_PARTS])
            if not hmac.compare_digest(given, self._mac(salt, nonce, box)):
                raise CannotDecrypt(
                    f"the secret at {where} does not open: CRYPT_SECRET is another one, or the value was changed"
                )
            return php.read(self._box.decrypt(box, nonce))
        except (CryptoError, ValueError) as error:
            raise CannotDecrypt(f"the secret at {where} is damaged: {error}") from None

    def _mac(self, salt: bytes, *parts: bytes) -> bytes:
        return hmac.digest(self._hmac_key(salt), salt + b"".join(parts), "sha256")

    def _derived(self, salt: bytes) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", self._key, salt, _ROUNDS, 32).hex()[32:].encode()


def _decoded(part: str) -> bytes:
    try:
        return b64decode(part + "=" * (-len(part) % 4), validate=True)
    except binascii.Error:
        raise ValueError("a part is no base64") from None
