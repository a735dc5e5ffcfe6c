"""The map in docs/architecture.md is the one that the code has."""

from support.rooms import PAGE, House, page_with_map, picture, read_house, reduced


def test_the_map_of_the_page_is_drawn_from_the_code() -> None:
    page = PAGE.read_text()
    assert page_with_map(page, read_house()) == page, "run: make docs"


def test_an_arrow_that_a_longer_way_says_is_left_out() -> None:
    arrows = {"top": {"middle", "low", "side"}, "side": set(), "middle": {"low"}, "low": set()}
    house = House([["top"], ["middle", "side"], ["low"]], {room: frozenset(found) for room, found in arrows.items()})
    assert reduced(house) == {"top": {"middle", "side"}, "side": set(), "middle": {"low"}, "low": set()}
    assert house.figures() == "4 rooms, 3 layers, 4 arrows of which 3 are drawn, 0 not downwards"


def test_an_arrow_that_does_not_lead_down_is_always_drawn() -> None:
    arrows = {"top": {"left", "right"}, "left": {"right"}, "right": {"top"}}
    house = House([["top"], ["left", "right"]], {room: frozenset(found) for room, found in arrows.items()})
    assert house.upward() == [("left", "right"), ("right", "top")]
    assert [line.strip() for line in picture(house).splitlines() if ">" in line] == [
        "room_left -.-> room_right",
        "room_right -.-> room_top",
        "room_top --> room_left",
        "room_top --> room_right",
    ]
