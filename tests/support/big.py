"""Moves a gigabyte through a worker's HTTP client and prints the most memory that took, in MB.

python big.py URL FOLDER
"""

import asyncio
import sys
from pathlib import Path

from connectors import Service
from connectors.http import Http


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
    sys.stdout.write(f"{rows} {size} {reply.json()['size']} {peak_megabytes()}\n")


def peak_megabytes() -> int:
    """Return the most memory so far; `getrusage` would count that of the process which has started this one."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


asyncio.run(move(sys.argv[1], Path(sys.argv[2])))
