"""The message as an action sees and changes it."""

from typing import Any

import pytest

from connectors import Message
from worker.protocol import headers as h


def message(**headers: Any) -> Message[Any]:
    return Message({name.replace("_", "-"): value for name, value in headers.items()}, '{"a": 1}')


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, ""), (True, "true"), (1001, "1001"), (1.5, "1.5"), ([], ""), (["a"], "a"), (["a", None, 1], "a,,1")],
)
def test_a_header_of_any_type_has_a_text(value: object, said: str) -> None:
    assert h.text(value) == h.received({"x": value}).text("x") == said


@pytest.mark.parametrize("user", ["alice", ["alice"], ["a", None, 1], 17, None])
def test_an_action_and_the_worker_read_the_same_user(user: object) -> None:
    headers = h.received({"user": user, "sdk": user})
    assert Message(headers, "").user == Message(headers, "").sdk == headers.text("user")


def test_user_and_hop_are_read_from_the_headers() -> None:
    assert (message().user, message().hop) == ("", 1)
    assert (message(user="bob", repeat_hops="4").user, message(user="bob", repeat_hops="4").hop) == ("bob", 4)
    assert (message(repeat_hops=3).hop, message(repeat_hops="x").hop, message(user=None).user) == (3, 1, "")


def test_a_message_is_never_changed() -> None:
    first = message(user="bob")
    second = first.with_user("ann").with_headers({"x": "1"}).without_headers("user")
    assert (dict(first.headers), dict(second.headers)) == ({"user": "bob"}, {"x": "1"})
    assert second.data == {"a": 1}


def test_limits_are_written_as_the_platform_reads_them() -> None:
    limited = message(user="bob").with_limit("shop", 10, 1).with_limit("shop", 500, 60, for_all_users=True)
    assert limited.headers["limiter-key"] == "bob|shop;1;10;|shop;60;500"
    assert limited.with_limit("shop", 5, 1).headers["limiter-key"] == "bob|shop;1;5;|shop;60;500"
    assert message(user="bob", limiter_key="bob|crm;1;2;").with_limit("shop", 1, 1).headers["limiter-key"] == (
        "bob|crm;1;2;bob|shop;1;1"
    )
    assert "limiter-key" not in limited.without_limits().headers
    with pytest.raises(ValueError, match="above 0"):
        message().with_limit("shop", 0, 1)
