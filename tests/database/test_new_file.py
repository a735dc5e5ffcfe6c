"""A new SQLite file that many open at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from worker.database.engine import sync_engine

TOGETHER = 8


@pytest.mark.parametrize("attempt", range(10))
def test_all_who_open_a_new_file_get_in(tmp_path: Path, attempt: int) -> None:
    gate = Barrier(TOGETHER)

    def write(_: int) -> None:
        engine = sync_engine(f"sqlite:///{tmp_path}/new.sqlite", cache_kib=1000)
        gate.wait()
        with engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (a)")
        engine.dispose()

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(write, range(TOGETHER)))
