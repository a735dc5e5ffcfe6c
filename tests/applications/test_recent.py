"""What was used last is kept, and never too much."""

from hypothesis import given
from hypothesis import strategies as st

from applications.recent import Recent

uses = st.lists(st.tuples(st.sampled_from(["get", "put", "forget"]), st.integers(0, 9)), max_size=60)


@given(st.integers(1, 5), uses)
def test_the_latest_uses_are_kept_and_no_more(most: int, used: list[tuple[str, int]]) -> None:
    kept, expected = Recent[int, str](most), list[int]()
    for what, key in used:
        was_there = key in expected
        if what == "get":
            assert kept.get(key) == (f"value {key}" if was_there else None)
        elif what == "put":
            kept.put(key, f"value {key}")
        else:
            kept.forget(key)
        expected = [other for other in expected if other != key]
        expected += [key] if what == "put" or (what == "get" and was_there) else []
        expected = expected[-most:]
        assert len(kept) == len(expected)
    assert all(kept.get(key) for key in expected)
