"""Entries for the tests of the trash, and its commands."""

from dataclasses import replace
from typing import Any

from support.command import command
from worker.trash.entry import Entry, EntryType

LONG_AGO = 1_795_489_382_982
ENTRY = Entry(
    id="0f1e2d3c0000400080000001",
    type=EntryType.TRASH,
    node_id="n1",
    node_name="fetch",
    topology_id="t1",
    topology_name="orders",
    correlation_id="run",
    user=None,
    reason="no stock",
    return_exchange="node.n1.hx",
    return_routing_key="1",
    headers={"result-message": "no stock", "n": 1, "none": None, "deep": {"a": [1, 2.5, True]}},
    body='{"order": 17}',
    raw=None,
    created=LONG_AGO,
    application="shop",
    updated=LONG_AGO,
)


def numbered(number: int, **changes: Any) -> Entry:
    """Return an entry of its own: later ones are a second younger, and have other reasons.

    A second, for the server that speaks MongoDB's protocol in the tests compares times by the second.
    """
    created = LONG_AGO + number * 1000
    own: dict[str, Any] = {"id": f"{number:024x}", "created": created, "updated": created, "reason": f"r{number}"}
    own["headers"] = {"result-message": own["reason"]}
    return replace(ENTRY, **own | changes)


def run_trash(url: str, *arguments: str, status: int = 0, text_in: str = "", **environment: str) -> tuple[str, str]:
    """Run `orchesty-worker trash` on the store of this URL; return what it prints on both outputs."""
    done = command("trash", *arguments, text_in=text_in, **{"WORKER_TRASH_URL": url, **environment})
    out, err = done.stdout, done.stderr
    assert done.returncode == status, f"status {done.returncode}\n{out}\n{err}"
    assert "Traceback" not in err, err
    return out, err
