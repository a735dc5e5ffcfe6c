"""Connections to Redis, and what they say as errors of ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

IDLE_SECONDS = 30
"""A connection that was idle for longer is tried before it is used."""


def open_redis(url: str, *, answer_seconds: float, decodes: bool = True) -> Any:
    """Return a client for `redis://[user:password@]host:6379/0`, `rediss://...` or `unix://path`.

    It connects when it is first used. Connecting and each answer may take `answer_seconds`; `decodes` makes answers
    text. The client's own types cover the blocking one and both kinds of answers, so they do not help.
    """
    return Redis.from_url(
        url,
        socket_timeout=answer_seconds,
        socket_connect_timeout=answer_seconds,
        health_check_interval=IDLE_SECONDS,
        decode_responses=decodes,
    )


@contextmanager
def redis_errors(away: Callable[[str], Exception]) -> Iterator[None]:
    """Raise what stands against an answer as `away`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise away(f"Redis: {type(error).__name__}: {error}") from error
