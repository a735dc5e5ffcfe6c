"""Collections of the node `comparator` in Redis: a hash for each."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from connectors.clock import milliseconds
from connectors.comparing import HELD, REMEMBERED, SLICE, Comparison, Deleted, Draft
from worker.database.redis import redis_errors
from worker.storage.comparing import scripts
from worker.storage.redis import storage_away

PREFIX = "orchesty:compared"
AT_AN_END = b"0"
"""The cursor of a scan that is through."""


class RedisComparisons:
    """Collections in hashes."""

    def __init__(self, redis: Any) -> None:
        """`redis` is a client that answers with bytes."""
        self._redis = redis
        self._compare = redis.register_script(scripts.COMPARE)
        self._ends = redis.register_script(scripts.ENDS)
        self._deleted = redis.register_script(scripts.DELETED)
        self._end = redis.register_script(scripts.END)
        self._confirm = redis.register_script(scripts.CONFIRM)
        self._invalidate = redis.register_script(scripts.INVALIDATE)

    async def compare(
        self, comparison: Comparison, position: int, digests: Sequence[tuple[str, bytes]], now: int
    ) -> str | None:
        """Compare a slice."""
        run = [comparison.run, str(comparison.hold), _ms(HELD), int(comparison.notes_seen), _ms(REMEMBERED)]
        own = [_ms(comparison.kept), _draft_ms(comparison.draft), position]
        rows = [part for item, digest in digests for part in (item.encode(), digest)]
        with redis_errors(storage_away):
            keys = _keys(comparison, comparison.draft)
            found = await self._compare(keys=keys, args=[uuid4().hex, now, *run, *own, *rows])
            if found is None:
                return None
            told, number = found
            await self._note(comparison, comparison.draft, number, now)
        return str(told, "ascii")

    async def ends(self, comparison: Comparison, now: int) -> bool:
        """Whether the run ends here."""
        total = "" if comparison.total is None else comparison.total
        with redis_errors(storage_away):
            keys = [_run_key(comparison), _seen_key(comparison), _answers_key(comparison)]
            return bool(await self._ends(keys=keys, args=[comparison.message, int(comparison.is_last), total]))

    async def deleted(
        self, comparison: Comparison, position: int, after: str, draft: Draft | None, now: int
    ) -> Deleted:
        """Take ids that are missing."""
        own = [_ms(REMEMBERED), _ms(comparison.kept), _draft_ms(draft)]
        with redis_errors(storage_away):
            arguments = [uuid4().hex, now, position, after, SLICE, *own]
            ids, following, number = await self._deleted(keys=_keys(comparison, draft), args=arguments)
            await self._note(comparison, draft, number, now)
        return Deleted([item.decode() for item in ids], None if following == AT_AN_END else following.decode())

    async def end(self, comparison: Comparison) -> None:
        """Forget what was seen, then let go."""
        with redis_errors(storage_away):
            keys = [_meta_key(comparison.master), _run_key(comparison), _seen_key(comparison)]
            await self._end(keys=keys, args=[comparison.run])

    async def id_field(self, draft: str, now: int) -> str | None:
        """Return a draft's field."""
        with redis_errors(storage_away):
            field = await self._redis.hget(_draft_key(draft), "id_field")
        return None if field is None else str(field, "utf-8")

    async def confirm(self, draft: str, item: str | None, now: int) -> None:
        """Keep what a draft says."""
        with redis_errors(storage_away):
            found = await self._redis.hmget(_draft_key(draft), "master", "number", "kept_ms")
            if found[0] is None:
                return
            master, number, kept_ms = (part.decode() for part in found)
            keys = [_meta_key(master), _items_key(master), _drafted_key(master, draft)]
            if item is not None:
                await self._confirm(keys=keys, args=[number, now, kept_ms, item.encode()])
                return
            cursor = 0
            while True:
                cursor, rows = await self._redis.hscan(keys[-1], cursor, count=SLICE)
                await self._confirm(keys=keys, args=[number, now, kept_ms, *rows])
                if not cursor:
                    return

    async def invalidate(self, master: str, item: str | None, now: int) -> None:
        """Forget an item or all."""
        with redis_errors(storage_away):
            keys = [_meta_key(master), _items_key(master), _drafts_key(master)]
            await self._invalidate(keys=keys, args=[] if item is None else [item.encode()])
            if item is not None:
                drafts = await self._redis.zrange(_drafts_key(master), 0, -1)
                for draft in drafts:
                    await self._redis.hdel(_drafted_key(master, draft.decode()), item.encode())

    async def _note(self, comparison: Comparison, draft: Draft | None, number: bytes, now: int) -> None:
        """Note what a draft belongs to, if there is anything in it."""
        if draft is None or not await self._redis.exists(_drafted_key(comparison.master, draft.id)):
            return
        of = {
            "master": comparison.master,
            "number": number,
            "id_field": draft.id_field,
            "kept_ms": _ms(comparison.kept),
        }
        pipeline = self._redis.pipeline()
        pipeline.hset(_draft_key(draft.id), mapping=of)
        pipeline.pexpire(_draft_key(draft.id), _ms(draft.kept))
        pipeline.zremrangebyscore(_drafts_key(comparison.master), "-inf", now)
        pipeline.zadd(_drafts_key(comparison.master), {draft.id: now + milliseconds(draft.kept)})
        await pipeline.execute()


def _ms(span: timedelta | None) -> int | str:
    """Return milliseconds as scripts take them."""
    return "" if span is None else milliseconds(span)


def _draft_ms(draft: Draft | None) -> int | str:
    return "" if draft is None else milliseconds(draft.kept)


def _keys(comparison: Comparison, draft: Draft | None) -> list[str]:
    """Return the keys of the scripts that compare. The braces keep them on one node of a cluster."""
    master = comparison.master
    own = [_answers_key(comparison), _run_key(comparison), _seen_key(comparison)]
    return [_meta_key(master), _items_key(master), *own, _drafted_key(master, "" if draft is None else draft.id)]


def _meta_key(master: str) -> str:
    return f"{PREFIX}:collection:{{{master}}}"


def _items_key(master: str) -> str:
    return f"{PREFIX}:items:{{{master}}}"


def _answers_key(comparison: Comparison) -> str:
    return f"{PREFIX}:answers:{{{comparison.master}}}:{comparison.message}"


def _run_key(comparison: Comparison) -> str:
    return f"{PREFIX}:run:{{{comparison.master}}}:{comparison.run}"


def _seen_key(comparison: Comparison) -> str:
    return f"{PREFIX}:seen:{{{comparison.master}}}:{comparison.run}"


def _drafts_key(master: str) -> str:
    return f"{PREFIX}:drafts:{{{master}}}"


def _drafted_key(master: str, draft: str) -> str:
    return f"{PREFIX}:drafted:{{{master}}}:{draft}"


def _draft_key(draft: str) -> str:
    return f"{PREFIX}:draft:{draft}"
