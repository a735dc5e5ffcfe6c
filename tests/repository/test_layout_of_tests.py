"""The tests stand as the code does: for each room of `worker/` a folder, or beside them a file."""

from support.rooms import ROOT

TESTS = ROOT / "tests"
OTHERS = {"applications", "connectors", "catalogue", "chaos", "repository"}
"""What is tested besides the rooms: two packages, the catalogue of both, the whole worker under faults, and all files
that are no code of these.
"""


def rooms() -> set[str]:
    """Return the folders of `worker/` that hold code."""
    return {path.parent.name for path in (ROOT / "worker").glob("*/__init__.py")}


def test_each_room_has_its_tests_and_each_folder_of_tests_its_room() -> None:
    assert {path.parent.name for path in TESTS.glob("*/test_*.py")} == rooms() | OTHERS


def test_a_file_of_tests_beside_the_folders_is_about_a_file_beside_the_rooms() -> None:
    about = {path.name.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    assert about <= {path.name for path in (ROOT / "worker").glob("*.py")}


def test_no_two_files_of_tests_have_one_name() -> None:
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert len(names) == len(set(names))
