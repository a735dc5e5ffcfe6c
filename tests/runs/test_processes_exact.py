"""Every process ends with the exact totals, though two of three workers are killed on the way."""

import pytest
from rich.progress import Progress
from support.databases import MakeDatabase

from benchmarks.processes import prove

PROCESSES = 800


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_every_process_ends_with_exact_totals(broker_url: str, make_database: MakeDatabase, kind: str) -> None:
    proof = await prove(broker_url, make_database(kind), PROCESSES, Progress(disable=True))
    assert (proof.wrong, proof.missing, proof.killed) == ({}, 0, 2)
