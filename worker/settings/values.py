"""Values of settings: what they may look like, and what is made of them before anybody uses them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_origin

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.urls import MONGODB, UNIX, absolute_url, broker_url, check_storage_url, check_url, checked_url

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OF_SEVERAL_LINES = "secret_keys"


class Values(BaseSettings):
    """Takes values as files have them: line breaks and blanks at their ends are dropped, within them refused.

    Relative paths mean the folder at the start, whatever an action does later.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="WORKER_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @field_validator("*", mode="before")
    @classmethod
    def _tidied(cls, value: object, field: ValidationInfo) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str):
            return value
        text = text.strip()
        is_list = get_origin(cls.model_fields[field.field_name or ""].annotation) is tuple
        if _CONTROL.search(text) and not is_list and field.field_name != _OF_SEVERAL_LINES:
            raise ValueError("has a line break or another control character in it")
        return _absolute(text, Path.cwd())

    @field_validator("*", mode="after")
    @classmethod
    def _stays(cls, value: object) -> object:
        return value.absolute() if isinstance(value, Path) else value


def _absolute(text: str, folder: Path) -> str:
    if text.startswith(UNIX) and not text.startswith(f"{UNIX}//"):
        return f"{UNIX}{folder / text.removeprefix(UNIX)}"
    return absolute_url(text, folder)


def _checked(*checks: Callable[[str], object]) -> AfterValidator:
    def check(secret: SecretStr) -> SecretStr:
        for each in checks:
            each(secret.get_secret_value())
        return secret

    return AfterValidator(check)


def _check_redis(url: str) -> None:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("redis://:password@host:6379/0 or rediss://... expected")


def _check_http(url: str) -> None:
    if not re.match(r"https?://[^/\s]", url):
        raise ValueError("must be a URL, https://host/path")


def _check_proxy(url: str) -> None:
    if url != "none" and not re.match(r"https?://[^/\s]", url):
        raise ValueError("none or http://user:password@host:port expected")


def _check_mongodb(url: str) -> None:
    if url.partition("://")[0] not in MONGODB:
        raise ValueError("mongodb://user:password@host/database expected")


def _split(value: object) -> object:
    return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value


def variable(name: str) -> Any:
    """Return both names of a variable: the platform's own and ours, with `WORKER_`."""
    return AliasChoices(name, f"WORKER_{name}")


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
BrokerAddress = Annotated[SecretStr, _checked(broker_url)]
Address = Annotated[SecretStr, _checked(checked_url)]
RedisAddress = Annotated[SecretStr, _checked(checked_url, _check_redis)]
StoreAddress = Annotated[SecretStr, _checked(checked_url, check_url)]
MongoAddress = Annotated[SecretStr, _checked(checked_url, _check_mongodb, check_url)]
StorageAddress = Annotated[SecretStr, _checked(checked_url, check_storage_url)]
ProxyAddress = Annotated[SecretStr, _checked(_check_proxy)]
HttpAddress = Annotated[SecretStr, _checked(_check_http)]
