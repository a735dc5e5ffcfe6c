"""Databases for a test of its own, on the servers of the session."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from deploy.databases import PrivateMongo, PrivatePostgres, installed_postgres

POSTGRES_VARIABLE = "WORKER_TEST_POSTGRES_URL"
MONGODB_VARIABLE = "WORKER_TEST_MONGODB_URL"
KINDS = ("sqlite", "postgresql", "mongodb")


class Databases:
    """Makes an empty database of a kind; a server is started when the first is asked for, unless its URL is given."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._servers: dict[str, str] = {}

    def make(self, kind: str, directory: Path) -> str:
        """Return the URL of a new database."""
        name = f"trash_{uuid4().hex[:12]}"
        if kind == "sqlite":
            return f"sqlite:///{directory}/folder/{name}.sqlite"
        if kind not in self._servers:
            self._servers[kind] = self._postgres() if kind == "postgresql" else self._mongo()
        url = self._servers[kind]
        if kind == "postgresql":
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
        return f"{url.rpartition('/')[0]}/{name}"

    def close(self) -> None:
        """Stop what was started."""
        self._stack.close()

    def _postgres(self) -> str:
        return os.environ.get(POSTGRES_VARIABLE) or self._stack.enter_context(private_postgres()).url

    def _mongo(self) -> str:
        given = os.environ.get(MONGODB_VARIABLE)
        if given:
            return given
        server = self._stack.enter_context(closing(PrivateMongo()))
        server.start()
        return server.url


@contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """A cluster that the test may stop and start."""
    with closing(PrivatePostgres(installed_postgres(print))) as server:
        server.start()
        yield server


MakeDatabase = Callable[[str], str]
