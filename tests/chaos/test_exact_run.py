"""A small run of generated replies, and that it would notice."""

import re

import pytest

from chaos import exact
from connectors import service


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_generated_reply_ends_with_its_cause(seed: int) -> None:
    report = await exact.run(200, seed)
    assert report.outcomes.keys() == {"Forward", "Limited", "Repeat", "Trash"}


async def test_an_order_that_is_made_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SAFE_TO_REPEAT", frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"}))
    with pytest.raises(AssertionError, match="asked 3 times for what was carried out"):
        await exact.run(200, 1)


async def test_a_reason_without_a_cause_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "CAUSES", re.compile("^$"))
    with pytest.raises(AssertionError, match="the reason names no cause"):
        await exact.run(30, 1)
