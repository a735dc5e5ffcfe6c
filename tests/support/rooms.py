"""The map of the rooms of `worker/`, drawn from its imports: `make docs` writes it into docs/architecture.md.

A room is a folder of `worker/` or a file beside them; `connectors` and `applications` are one room each. An arrow says
that a file of one room imports a file of another, at its top or inside a function. The layers are those of the contract
in pyproject.toml. An arrow that others together say as well is counted, and left out of the picture.
"""

import ast
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- map: written by `make docs` -->\n", "<!-- end of the map -->\n"

Arrows = Mapping[str, frozenset[str]]
"""By room, the rooms that it imports."""


@dataclass(frozen=True, slots=True)
class House:
    """The rooms, layer by layer from the top, and the arrows between them."""

    layers: Sequence[Sequence[str]]
    arrows: Arrows

    def upward(self) -> list[tuple[str, str]]:
        """Return the arrows that do not lead to a lower layer."""
        place = {room: number for number, layer in enumerate(self.layers) for room in layer}
        return [(one, other) for one, other in _pairs(self.arrows) if place[one] >= place[other]]

    def figures(self) -> str:
        """Return how many rooms, layers and arrows there are."""
        rooms, arrows = sum(map(len, self.layers)), len(_pairs(self.arrows))
        drawn = len(_pairs(reduced(self)))
        return (
            f"{rooms} rooms, {len(self.layers)} layers, {arrows} arrows of which {drawn} are drawn, "
            f"{len(self.upward())} not downwards"
        )


def read_house() -> House:
    """Read layers and imports."""
    layers = _layers()
    rooms = {room for layer in layers for room in layer}
    graph = grimp.build_graph("worker", "connectors", "applications", cache_dir=None)
    arrows: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        room = _room(module)
        for imported in graph.find_modules_directly_imported_by(module):
            if room != _room(imported) and {room, _room(imported)} <= rooms:
                arrows[room].add(_room(imported))
    return House(layers, {room: frozenset(found) for room, found in arrows.items()})


def _layers() -> list[list[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors, rooms = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in (*rooms, *floors[1:])]


def _room(module: str) -> str:
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "worker" else package


def _pairs(arrows: Arrows) -> list[tuple[str, str]]:
    return sorted((room, imported) for room, found in arrows.items() for imported in found)


def reduced(house: House) -> Arrows:
    """Leave out the arrows downwards that a longer way says as well."""
    upward = set(house.upward())
    down = {room: {other for other in found if (room, other) not in upward} for room, found in house.arrows.items()}
    below: dict[str, set[str]] = {}
    for room in (room for layer in reversed(house.layers) for room in layer):
        below[room] = down[room].union(*(below[other] for other in down[room]))
    return {
        room: house.arrows[room] - {far for other in found for far in below[other] if (room, far) not in upward}
        for room, found in down.items()
    }


def picture(house: House) -> str:
    """Return the map as Mermaid."""
    lines = ["flowchart TD"]
    for number, layer in enumerate(house.layers, 1):
        nodes = [f'        {_id(room)}["{room}"]' for room in layer]
        lines += [f'    subgraph layer{number}[" "]', *nodes, "    end"]
    upward = set(house.upward())
    for room, other in _pairs(reduced(house)):
        lines.append(f"    {_id(room)} {'-.->' if (room, other) in upward else '-->'} {_id(other)}")
    return "\n".join(lines) + "\n"


def _id(room: str) -> str:
    return f"room_{room.strip('_')}"


def purposes(house: House) -> str:
    """Return the rooms as a table, with the first line of each one's text."""
    rows = ["| layer | room | what it is for |", "|---|---|---|"]
    for number, layer in enumerate(house.layers, 1):
        rows += [f"| {number} | [`{room}`]({_link(room)}) | {_purpose(_file(room))} |" for room in layer]
    return "\n".join(rows) + "\n"


def _file(room: str) -> Path:
    folder = ROOT / room if (ROOT / room).is_dir() else ROOT / "worker" / room
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _link(room: str) -> str:
    file = _file(room)
    place = file.parent if file.name == "__init__.py" else file
    return f"../{place.relative_to(ROOT)}"


def _purpose(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return text.partition("\n")[0].rstrip(".")


def page_with_map(page: str, house: House) -> str:
    """Return the page with the map between its two markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    drawn = f"```mermaid\n{picture(house)}```\n\n{purposes(house)}\n{house.figures()}.\n"
    return f"{before}{BEGIN}{drawn}{END}{after}"


def main() -> None:
    """Write the map and print its figures."""
    house = read_house()
    PAGE.write_text(page_with_map(PAGE.read_text(), house))
    print(house.figures())
    for room, other in house.upward():
        print(f"not downwards: {room} -> {other}")


if __name__ == "__main__":
    main()
