"""`python -m examples.demo`: about a minute, on a RabbitMQ that is gone afterwards.

Exit status: 0 all came out as it must, 1 something did not, 130 Ctrl-C.
"""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import uvloop
from rich.console import Console

from applications.crypt import new_key
from applications.private_files import make_private_folder
from deploy.broker import Broker, BrokerUnavailable, provide_broker
from examples.demo import account, actions
from examples.demo.board import Board
from examples.demo.commands import Commands
from examples.demo.records import load_records
from examples.demo.results import Results
from examples.demo.service import serve
from examples.demo.story import Story
from worker.app.process import Worker
from worker.logs import configure_logs
from worker.protocol.topology_file import load_topology
from worker.settings.settings import ModeName, Settings, load_settings

LINE_WIDTH = 120
"""Of lines that go to a file or a pipe."""

LOOPBACK = "127.0.0.1"
FOLDER = Path("var/demo")
LOG = FOLDER / "worker.log"
TOPOLOGY = Path(__file__).with_name("topology.json")
TRASH_URL = f"sqlite:///{FOLDER}/trash.sqlite"
INSTALLS_URL = f"sqlite:///{account.INSTALLS}"


def main() -> int:
    """Run the demonstration and return the exit status."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LINE_WIDTH)
    try:
        problems = run(console)
    except BrokerUnavailable as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything is stopped.")
        return 130
    for problem in problems:
        console.print(f"Not as expected: {problem}", style="red", markup=False)
    if problems:
        console.print(f"The worker's log is {LOG}.")
    return 1 if problems else 0


def run(console: Console) -> Sequence[str]:
    """Run it on a broker of its own. Return what is not as it must be.

    A broker that is given would still hold the messages of a demonstration that somebody has interrupted.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    make_private_folder(FOLDER)
    os.environ["no_proxy"] = LOOPBACK  # a proxy of the surroundings cannot reach the service
    say = partial(console.print, markup=False)
    with LOG.open("w") as log, provide_broker(ours_only=True, announce=say) as broker:
        say(f"This is a {broker.description}.")
        settings = settings_for(broker, new_key("demo"))  # nobody has to keep it: the install ends with the run
        with contextlib.redirect_stderr(log):
            configure_logs(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(demonstrate(console, broker, settings))


def settings_for(broker: Broker, key: str) -> Settings:
    """Return settings that are the demonstration's own, whatever the environment says."""
    return load_settings(
        topology=TOPOLOGY,
        amqp_url=broker.url,
        mode=ModeName.STANDALONE,
        nodes=(),
        actions=(actions.__name__,),
        http_host=LOOPBACK,
        http_port=0,
        trash_url=TRASH_URL,
        installs_url=INSTALLS_URL,
        secret_keys=key,
        token_journal=FOLDER / "tokens",
        grace=5,
        log_format="json",
        log_level="info",
    )


async def demonstrate(console: Console, broker: Broker, settings: Settings) -> Sequence[str]:
    """Start the service and the worker, tell the story, stop both. Return what is not as it must be."""
    topology, records = load_topology(settings.topology), load_records()
    async with serve(records) as service:
        actions.World.base_url = actions.Tally.base_url = service.url
        await account.install(settings, service.token)
        worker = Worker(settings, topology=topology)
        async with working(worker):
            board = Board(topology.nodes, worker.counts)
            commands = Commands(console, environment(broker))
            return await Story(console, settings, topology, worker, service, board, Results(records), commands).tell()


@contextlib.asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    """Let the worker consume while the context is open; stop it gracefully at the end."""
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        yield
        worker.stop()


def environment(broker: Broker) -> dict[str, str]:
    """Return the variables that tell a command what to work on."""
    return {"TOPOLOGY_JSON": str(TOPOLOGY), "WORKER_AMQP_URL": broker.url, "WORKER_TRASH_URL": TRASH_URL}


if __name__ == "__main__":
    sys.exit(main())
