"""What a database says, as errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from worker.errors import StoreError


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn SQLAlchemy's errors, and those of an SQLite file's folder, into `StoreError`."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(str(error.orig).strip()) from error
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(str(error)) from error
