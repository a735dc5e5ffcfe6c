"""Secrets at rest."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.accounts import KEY, install, opened

from applications import Application, Basic
from applications.accounts import Accounts
from applications.catalogue.github import GitHub
from applications.crypt import Keyring, new_key
from applications.errors import CannotDecrypt, ChangedMeanwhile, KeyMissing, SecretsError

OLD, NEW = new_key("old"), new_key("new")


def test_a_value_opens_where_it_was_sealed() -> None:
    keyring = Keyring.read(NEW)
    sealed = keyring.seal(b"canary", "alice", "books")
    assert "canary" not in sealed
    assert sealed != keyring.seal(b"canary", "alice", "books")
    assert keyring.open(sealed, "alice", "books") == b"canary"


@pytest.mark.parametrize("place", [("bob", "books"), ("alice", "shop"), ("alicebooks",), ("alice", "books", "x")])
def test_a_value_that_was_moved_does_not_open(place: tuple[str, ...]) -> None:
    keyring = Keyring.read(NEW)
    with pytest.raises(CannotDecrypt, match="changed or moved"):
        keyring.open(keyring.seal(b"canary", "alice", "books"), *place)


@pytest.mark.parametrize(
    ("sealed_at", "moved_to"),
    [
        (("alice/books", "form"), ("alice", "books/form")),
        (("alice", "books"), ("alice/books",)),
        (('alice", "books',), ("alice", "books")),
        (("alice", "", "books"), ("alice", "books", "")),
        (("alice\x00books",), ("alice", "books")),
    ],
)
def test_names_with_separators_do_not_make_one_place_of_two(
    sealed_at: tuple[str, ...], moved_to: tuple[str, ...]
) -> None:
    keyring = Keyring.read(NEW)
    sealed = keyring.seal(b"canary", *sealed_at)
    assert keyring.open(sealed, *sealed_at) == b"canary"
    with pytest.raises(CannotDecrypt, match="changed or moved"):
        keyring.open(sealed, *moved_to)


def test_a_key_may_be_written_in_either_base64() -> None:
    key = bytes([0xFB, 0xEF, 0xFF] * 10 + [0xFB, 0xEF])
    standard, url_safe = b64encode(key).decode(), urlsafe_b64encode(key).decode()
    assert set("+/") < set(standard)
    assert set("-_") < set(url_safe)
    sealed = Keyring.read(f"one:{standard}").seal(b"canary", "alice")
    assert Keyring.read(f"one:{url_safe}").open(sealed, "alice") == b"canary"


def test_every_changed_character_is_noticed() -> None:
    keyring = Keyring.read(NEW)
    sealed = keyring.seal(b"canary", "alice")
    for at in range(len(sealed) - 1):  # the last one has bits that mean nothing
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(SecretsError) as raised:
            keyring.open(changed, "alice")
        assert "canary" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "nonsense", "v1", "v1.new", "v1.new.", "v1.new.?", "v2.new.AAAA", "002_abc:def"])
def test_what_is_no_sealed_value_is_told(text: str) -> None:
    with pytest.raises(SecretsError, match="the secret at alice"):
        Keyring.read(NEW).open(text, "alice")


def test_the_newest_key_seals_and_all_open() -> None:
    sealed = Keyring.read(OLD).seal(b"x", "a")
    both = Keyring.read(f"{NEW}, {OLD}")
    assert both.open(sealed, "a") == b"x"
    assert not both.is_newest(sealed)
    assert both.is_newest(both.seal(b"x", "a"))
    with pytest.raises(KeyMissing, match="needs the key 'old'; keys here: new"):
        Keyring.read(NEW).open(sealed, "a")


@pytest.mark.parametrize(
    "text",
    ["short:AAAA", "no-colon", f"{OLD},{OLD}", "a b", ":" + "A" * 43, "x:" + "*" * 43],
    ids=["short", "without colon", "twice", "with space", "without id", "no base64"],
)
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(KeyMissing, match="orchesty-worker secrets generate") as raised:
        Keyring.read(text)
    assert text.partition(":")[2][:20] not in str(raised.value) or not text.partition(":")[2]


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(KeyMissing, match="there is no key for secrets"):
        Keyring.read("").seal(b"x", "a")


class Other(Application):
    key = "other"
    authentication = Basic()


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


async def test_rotation_seals_anew_and_loses_nothing(accounts: Accounts, tmp_path: Path) -> None:
    await install(accounts, GitHub, token="canary")
    url = f"sqlite:///{tmp_path}/installs.sqlite"
    async with opened(url, tmp_path, f"{NEW},{KEY}") as both:
        (found,) = await both.installs.list()
        assert await both.installs.rotate(found)
        (found,) = await both.installs.list()
        assert not await both.installs.rotate(found)
    async with opened(url, tmp_path, NEW) as only_new:
        (found,) = await only_new.installs.list()
        assert only_new.installs.settings(found) == {"authorization_form": {"token": "canary"}}


async def test_settings_that_were_changed_meanwhile_are_not_overwritten(accounts: Accounts) -> None:
    await install(accounts, GitHub, token="first")
    (before,) = await accounts.installs.list()
    await accounts.save("alice", GitHub, {"authorization_form": {"token": "second"}})
    with pytest.raises(ChangedMeanwhile):
        await accounts.installs.save_settings(before, {}, keeps_token=True)
