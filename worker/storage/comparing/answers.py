"""Answers in SQL: what a message was told, so that it is told the same again."""

from collections.abc import Callable
from enum import StrEnum

from sqlalchemy import Connection, insert, select

from connectors.clock import milliseconds
from connectors.comparing import REMEMBERED
from worker.storage.tables import compared_answers

YES, NO = "yes", "no"


class Question(StrEnum):
    """What an answer is about."""

    CHANGES = "changes"
    ENDS = "ends"
    MISSING = "missing"


def answer(
    connection: Connection, message: str, question: Question, position: int, find: Callable[[], str], now: int
) -> str:
    """Return what the message was told about a slice; what `find` returns, if it was not asked before."""
    row = {"message": message, "kind": str(question), "position": position}
    own = [compared_answers.c[name] == value for name, value in row.items()]
    known = connection.execute(select(compared_answers.c.body).where(*own)).scalar_one_or_none()
    if known is not None:
        return bytes(known).decode()
    found = find()
    content = {"body": found.encode(), "expires": now + milliseconds(REMEMBERED)}
    connection.execute(insert(compared_answers).values(**row, **content))
    return found
