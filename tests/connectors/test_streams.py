"""Replies and requests that are too big for memory."""

import asyncio
import gzip
import sys
from codecs import BOM_UTF8, BOM_UTF16_LE
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.calls import bench, data_of
from support.services import serving

from applications.http.response import Headers, Response
from connectors import Connector, Message, Repeat, Trash

GIGABYTE = 1 << 30
PIECE = bytes(1 << 20)
ROWS = b"".join(b'%d,"row\nnumber %d",text text text text text\n' % (n, n) for n in range(20_000))
BIG = Path(__file__).parent.parent / "support" / "big.py"


async def big(request: web.Request) -> web.StreamResponse:
    if request.method == "PUT":
        size = 0
        async for chunk in request.content.iter_chunked(1 << 20):
            size += len(chunk)
        return web.json_response({"size": size})
    response = web.StreamResponse(headers={"Content-Type": "text/csv"})
    await response.prepare(request)
    if request.path == "/rows":
        await response.write(b"id,name,text\n")
        for _ in range(10):
            await response.write(ROWS)
    else:
        for _ in range(GIGABYTE // len(PIECE)):
            await response.write(PIECE)
    return response


async def test_a_gigabyte_both_ways_takes_less_than_120_megabytes(tmp_path: Path) -> None:
    async with serving(big) as url:
        child = await asyncio.create_subprocess_exec(sys.executable, BIG, url, tmp_path, stdout=asyncio.subprocess.PIPE)
        output, _ = await child.communicate()
    rows, saved, sent, megabytes = map(int, output.split())
    assert (rows, saved, sent) == (200_000, GIGABYTE, GIGABYTE)
    print(f"a gigabyte down and up: {megabytes} MB at most")
    assert megabytes < 120


class Read(Connector[Any, Any]):
    """Reads a reply piece by piece, as the body says."""

    name = "read"

    async def process(self, message: Message[Any]) -> Message[Any]:
        how, path = message.data["how"], message.data["path"]
        async with self.stream("GET", path, gunzip=message.data.get("gunzip", False)) as download:
            return message.with_data([item async for item in getattr(download, how)()])


def answering(body: bytes, status: int = 200, **headers: str) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def outcome_of(how: str, answer: Any, **more: Any) -> Any:
    async with bench(answer) as at:
        return await at.call(Read(), {"how": how, "path": f"{at.url}/big", **more})


async def test_lines_rows_and_values_come_one_by_one() -> None:
    text = 'name,note\r\nŽofie,"a\nb"\r\n'.encode("cp1250")
    as_csv = {"Content_Type": "text/csv; charset=windows-1250"}
    assert data_of(await outcome_of("csv", answering(text, **as_csv))) == [{"name": "Žofie", "note": "a\nb"}]
    assert data_of(await outcome_of("lines", answering(b"a\r\n\nb"))) == ["a", "", "b"]
    assert data_of(await outcome_of("json_lines", answering(b'{"a":1}\n\n{"a":2}\n'))) == [{"a": 1}, {"a": 2}]
    packed = gzip.compress(b'{"a":1}\n')
    assert data_of(await outcome_of("json_lines", answering(packed), gunzip=True)) == [{"a": 1}]


@pytest.mark.parametrize(
    ("how", "body", "more", "problem"),
    [
        ("csv", b"a,b\n1\n", {}, "CSV, line 2: 1 fields, but 2 columns"),
        ("csv", b'a,b\n1,"2\n', {}, "CSV, line 2: a quoted field has no end"),
        ("json_lines", b'{"a":1}\n{"a"\n', {}, "line 2 is not JSON"),
        ("lines", b"caf\xe9", {}, "bytes that are not utf-8"),
        ("lines", b"plain", {"gunzip": True}, "compressed content is broken"),
    ],
)
async def test_what_is_wrong_in_the_middle_is_told_with_its_line(
    how: str, body: bytes, more: Any, problem: str
) -> None:
    outcome = await outcome_of(how, answering(body), **more)
    assert isinstance(outcome, Trash | Repeat)
    assert problem in outcome.reason


async def test_a_truncated_file_is_asked_for_again_and_a_refusal_is_judged() -> None:
    outcome = await outcome_of("lines", answering(gzip.compress(b"abc\n" * 99)[:-4]), gunzip=True)
    assert isinstance(outcome, Repeat)
    assert "compressed content ends too early" in outcome.reason
    refused = await outcome_of("lines", answering(b'{"message": "gone"}', 410, Content_Type="application/json"))
    assert isinstance(refused, Trash)
    assert refused.reason.endswith("/big answered 410: gone")
    assert isinstance(await outcome_of("lines", answering(b"", 503)), Repeat)


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_file_that_did_not_become_whole_is_not_left_behind(tmp_path: Path) -> None:
    class Save(Connector[Any, Any]):
        name = "save"

        async def process(self, message: Message[Any]) -> Message[Any]:
            async with self.stream("GET", message.data, gunzip=True) as download:
                return message.with_data(await download.save(tmp_path / "file"))

    whole = gzip.compress(b"abc" * 1000)
    async with bench(answering(whole[:-4])) as at:
        assert isinstance(await at.call(Save(), f"{at.url}/f".join('""')), Repeat)
    assert files_in(tmp_path) == []
    async with bench(answering(whole)) as at:
        assert data_of(await at.call(Save(), f"{at.url}/f".join('""'))) == 3000
    assert files_in(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1}\n{"a":2}\n',
        b'\xef\xbb\xbf{"a":1}\r\n\r\n{"a":2}',
        b'\x1e{"a":1}\n\x1e{"a":2}\n',
        b'\x1e{"a":\n1}\n\x1e\n{"a":2}',
        b'\x1e{"a":1}\x1e{"a":2}',
        '\ufeff{"a":1}\n{"a":2}\n'.encode("utf-16-le"),
        '\ufeff{"a":1}\n{"a":2}\n'.encode("utf-16-be"),
    ],
)
async def test_json_lines_in_all_their_forms(body: bytes) -> None:
    values = [{"a": 1}, {"a": 2}]
    assert data_of(await outcome_of("json_lines", answering(body))) == values
    assert Response("GET", "", 200, Headers({"content-type": "application/json-seq"}), body).data() == values


@pytest.mark.parametrize(
    "body",
    [
        b"a;b\r\n1;2\r\n",
        b"a;b\r1;2\r",
        b"a;b\n1;2",
        b"a;b\n\n1;2\n\n",
        "\ufeffa;b\n1;2\n".encode("utf-16-le"),
        "\ufeffa;b\n1;2\n".encode(),
    ],
)
@pytest.mark.parametrize("line", [b"sep=;\r\n", b'"sep=;"\n', b"SEP=;\r", None])
async def test_csv_in_all_its_forms(body: bytes, line: bytes | None) -> None:
    if line is None:
        body = body.replace(b";", b",")
    elif b"\0" not in body:
        body = line + body.removeprefix(BOM_UTF8)
    else:
        body = BOM_UTF16_LE + line.decode().encode("utf-16-le") + body.removeprefix(BOM_UTF16_LE)
    rows = [{"a": "1", "b": "2"}]
    assert data_of(await outcome_of("csv", answering(body))) == rows
    assert Response("GET", "", 200, Headers({"content-type": "text/csv"}), body).data() == rows
