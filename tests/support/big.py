"""Moves a gigabyte through a worker's HTTP client and prints the most memory that took, in MB.

python big.py URL FOLDER
"""

import asyncio
import resource
import sys
from pathlib import Path

from connectors import Http, Service


async def move(url: str, folder: Path) -> None:
    """Read a big reply row by row, save another, and send the file back."""
    http = Http()
    service, target = Service(http), folder / "big.bin"
    rows = 0
    async with service.stream("GET", f"{url}/rows") as download:
        async for _ in download.csv():
            rows += 1
    async with service.stream("GET", f"{url}/bytes") as download:
        size = await download.save(target)
    reply = await service.put(f"{url}/bytes", file=target, timeout_seconds=60)
    await http.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{rows} {size} {reply.json()['size']} {peak}\n")


asyncio.run(move(sys.argv[1], Path(sys.argv[2])))
