"""A small run of the odd replies, and that it would notice."""

import pytest

from chaos import replies


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_odd_reply_ends_in_an_outcome(seed: int) -> None:
    report = await replies.run(150, seed)
    assert report.outcomes.keys() == {"Forward", "Repeat", "Trash"}


async def test_an_error_that_is_not_declared_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RecursionError

    for how in replies.WHOLE:
        monkeypatch.setitem(replies.WHOLE, how, broken)
    with pytest.raises(AssertionError, match=r"reply \d+ of seed 1, \w+.*: RecursionError"):
        await replies.run(30, 1)
