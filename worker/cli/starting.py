"""Starting topologies from methods of applications that a command calls."""

import asyncio
from typing import Any

from applications.errors import ApplicationError
from applications.starting import StartTopology
from worker.settings.settings import Settings

PATIENCE_SECONDS = 30


def starting(settings: Settings) -> StartTopology:
    """Return what starts a topology as a worker with these settings does; it connects when it is called."""

    async def start(topology: str, node: str = "start", **options: Any) -> None:
        # Imported here: few commands run a hook, and few hooks start something.
        from connectors.outcome import Verdict  # noqa: PLC0415 - see above
        from connectors.topologies import Topologies  # noqa: PLC0415 - see above
        from worker.broker.publisher import Publisher  # noqa: PLC0415 - see above
        from worker.cli.broker import connected  # noqa: PLC0415 - see above
        from worker.modes.opening import open_mode  # noqa: PLC0415 - see above
        from worker.protocol.topology_file import load_topology  # noqa: PLC0415 - see above

        publisher = Publisher()
        starter = open_mode(settings).starter(load_topology(settings.topology), publisher)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), connected(settings, publisher.serve):
                await Topologies(starter).start_anew(topology, node, **options)
        except TimeoutError:
            raise ApplicationError(f"{topology} was not started within {PATIENCE_SECONDS} s: no answer") from None
        except Verdict as verdict:
            raise ApplicationError(f"{topology} was not started: {verdict.reason}") from None
        finally:
            await starter.close()

    return start
