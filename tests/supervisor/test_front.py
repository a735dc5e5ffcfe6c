"""Uploads to the address of several processes: checked before they are read, and never there as a whole."""

import asyncio
from pathlib import Path

import httpx
from conftest import MakeTopology, StartWorker
from support.queues import Queues, bodies, process_message
from support.topologies import pass_on, sink
from support.workers import WorkerProcess

KEY = "hunter2"
LARGE = "x" * 3_000_000
UPLOADS, SENT = 12, 8 * 1024 * 1024


Upload = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def upload(worker: WorkerProcess, path: str, key: str, sent: bytes) -> Upload:
    """Begin to send sixty megabytes, and stop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    head = f"POST {path} HTTP/1.1\r\nHost: worker\r\norchesty-api-key: {key}\r\nContent-Length: 60000000\r\n\r\n"
    writer.write(head.encode() + sent)
    await writer.drain()
    return reader, writer


async def status_of(upload: Upload) -> int:
    async with asyncio.timeout(20):
        return int((await upload[0].readline()).split()[1])


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


async def test_the_supervisor_holds_no_bodies_and_reads_none_without_the_key(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await start_worker(topology, processes=2, orchesty_api_key=KEY)

    refused = [await upload(worker, "/api/process", "wrong", b"") for _ in range(3)]
    assert [await status_of(call) for call in refused] == [401] * 3
    unknown = await upload(worker, "/webhook/topologies/t/nodes/n/token/x", "", b"x" * 1000)
    assert await status_of(unknown) == 404

    async with httpx.AsyncClient(trust_env=False, headers={"orchesty-api-key": KEY}) as client:
        headers = {**process_message("x").headers, "node-id": topology.node_id("start")}
        content = {"messageId": "m1", "headers": headers, "body": f'"{LARGE}"', "published": 1_795_489_382_982}
        answer = await client.post(f"http://127.0.0.1:{worker.port}/api/process", json=content)
    assert answer.json()["ok"] is True
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [LARGE]

    before = resident(worker.pid)
    held = await asyncio.gather(*(upload(worker, "/api/process", KEY, b"x" * SENT) for _ in range(UPLOADS)))
    assert resident(worker.pid) - before < SENT * UPLOADS / 3
    assert (await worker.probe())[0] == 200
    for _, writer in held:
        writer.close()


async def test_the_service_is_answered_by_any_of_the_processes_for_callers_that_only_the_supervisor_sees(
    make_topology: MakeTopology, start_worker: StartWorker
) -> None:
    worker = await start_worker(make_topology(pass_on("start")), processes=2, service_allow="127.0.0.2")
    async with caller("127.0.0.2", worker) as client:
        names = [{item["name"] for item in (await client.get("/custom-node/list")).json()} for _ in range(2)]
        assert names[0] == names[1]
        call = await client.post("/custom-node/nobody/process", json={"body": "x", "headers": {"user": "alice"}})
        assert (call.status_code, call.headers["content-type"]) == (400, "application/json; charset=utf-8")
        assert call.json()["headers"]["user"] == "alice"
        assert (await client.options("/custom-node/list")).headers["allow"] == "GET, HEAD"
    async with caller("127.0.0.1", worker) as client:
        assert (await client.get("/custom-node/list")).status_code == 403
        assert (await client.get("/readyz")).status_code == 200


def caller(address: str, worker: WorkerProcess) -> httpx.AsyncClient:
    """A client at this address."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}", transport=transport)
