"""`orchesty-worker topology import` and `export`."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from worker.cli.options import json_option
from worker.cli.printing import Listing, say, say_json, say_table
from worker.editor.checking import checked
from worker.editor.document import document_of, drawing_of, not_in_document
from worker.editor.drawing import Drawing, Fate, Note
from worker.editor.kinds import in_use
from worker.editor.layout import positions
from worker.editor.reading import name_of, read_file
from worker.editor.sketch import not_in_sketch, written
from worker.errors import TopologyError
from worker.protocol.topology_file import load_topology

file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
force_option = click.option("--force", is_flag=True, help="Replace the file that is there.")


@click.command(
    "import",
    epilog="""\b
Examples:
  orchesty-worker topology import orders.tplg.json
  orchesty-worker topology import orders.tplg --name orders-test --output orders-test.json
  orchesty-worker topology import orders.tplg.json --url node-sdk=http://node-sdk:8080
""",
)
@file_argument
@click.option("--name", help="The name of the topology.  [default: that of FILE]")
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="SERVICE=URL",
    help="Where a service is, by its registered name; repeatable.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("topology.json"), show_default=True
)
@force_option
@json_option
def import_(file: Path, name: str | None, urls: tuple[str, ...], output: Path, *, force: bool, as_json: bool) -> None:
    """Turn a FILE of the platform's editor, .tplg.json or BPMN, into a topology file.

    Shows what of each node was taken, guessed and dropped. Run it again with other options to change what was guessed.
    """
    load_topology(file)  # what is wrong is told with the file's name
    drawing, addresses = _read_again(file), _addresses(urls)
    if not isinstance(drawing, Drawing):
        raise click.ClickException(f"{file} is a topology file already. Run it: orchesty-worker run --topology {file}")
    notes = [*drawing.notes, *not_in_document(drawing, addresses)]
    document = document_of(drawing, name or name_of(file), addresses)
    _write(output, json.dumps(document, indent=2, ensure_ascii=False) + "\n", force=force)
    _report(output, drawing, [_taken(entry) for entry in document["nodes"]], notes, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  orchesty-worker topology export topology.json --service my-service
  orchesty-worker topology export orders.tplg --output orders.tplg.json
"""
)
@file_argument
@click.option("--service", default="", help="The registered name of the service, for nodes that name none.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="[default: {name}.tplg.json]")
@force_option
@json_option
def export(file: Path, service: str, output: Path | None, *, force: bool, as_json: bool) -> None:
    """Turn a topology FILE, or BPMN, into a .tplg.json file, which the platform's editor imports.

    Shows what of each node the editor's file has no place for.
    """
    topology = load_topology(file)
    read = _read_again(file)
    try:
        drawing = read if isinstance(read, Drawing) else checked(in_use(drawing_of(read, service)))
    except TopologyError as error:
        raise click.ClickException(f"{file}: {error}") from None
    path = output or Path(f"{topology.name.replace('/', '-')}.tplg.json")
    _write(path, written(drawing, positions(drawing)), force=force)
    taken = [list(filter(None, (node.kind, node.application, node.service))) for node in drawing.nodes]
    _report(path, drawing, taken, [*drawing.notes, *not_in_sketch(drawing)], as_json=as_json)


def _read_again(file: Path) -> Any:
    if not file.is_file():
        raise click.ClickException(f"{file} can be read only once. Write it to a file.")
    return read_file(file)


def _addresses(urls: Iterable[str]) -> Mapping[str, str]:
    addresses = {}
    for text in urls:
        service, _, url = text.partition("=")
        if not service or not url.startswith(("http://", "https://")):
            raise click.UsageError(f"--url {text}: write SERVICE=URL, as in node-sdk=http://node-sdk:8080")
        addresses[service] = url
    return addresses


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(
            f"{path} is there already. Choose another --output, or replace it with --force."
        ) from None
    except (OSError, UnicodeEncodeError) as error:
        raise click.ClickException(f"{path}: {error}") from None


def _taken(entry: Mapping[str, Any]) -> list[str]:
    settings = dict(entry["settings"])
    path, url = settings.pop("actionPath", ""), settings.pop("url", "")
    service = settings.pop("headers", {}).get("sdk", "")
    more = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    return [*filter(None, (entry["worker"], path, entry["application"], service, url)), *more]


def _report(path: Path, drawing: Drawing, taken: Sequence[list[str]], notes: Iterable[Note], *, as_json: bool) -> None:
    fates = _by_node(notes)
    rows = [
        {"id": node.id, "name": node.name, "taken": parts, **fates[node.id]}
        for node, parts in zip(drawing.nodes, taken, strict=True)
    ]
    if as_json:
        say_json({"written": str(path), "nodes": rows, **fates[""]})
        return
    say_table(_table(rows))
    for fate, texts in fates[""].items():
        for text in texts:
            say(f"{fate}: {text}")
    say(f"written: {path}")


def _by_node(notes: Iterable[Note]) -> Mapping[str, dict[str, list[str]]]:
    fates: Mapping[str, dict[str, list[str]]] = defaultdict(lambda: {fate.value: [] for fate in Fate})
    for note in notes:
        fates[note.node][note.fate.value].append(note.text)
    return fates


def _table(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Listing(box=None, header_style="bold", pad_edge=False)
    for column in ("node", "taken", "guessed", "dropped"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["name"], " ".join(row["taken"]), "; ".join(row["guessed"]), "; ".join(row["dropped"]))
    return table
