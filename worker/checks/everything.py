"""All checks, in the order in which one depends on another."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from worker.accounts.opening import has_keys
from worker.broker.delays import LOST
from worker.broker.surroundings import Surroundings
from worker.checks.broker import check_broker, check_leftovers, check_lost, check_queues, wanted_queues
from worker.checks.exchanges import check_channels, check_followers
from worker.checks.files import check_disk, check_journal, check_modes, sqlite_path
from worker.checks.finding import Finding, FindingState, failed
from worker.checks.installation import check_installation
from worker.checks.stores import check_databases, check_storage, check_trash
from worker.checks.topology import check_actions, check_time, check_topology, check_variables, not_before
from worker.errors import SettingsError
from worker.protocol.topology import Node, Topology
from worker.settings.settings import Settings, load_settings

SurroundingsOf = Callable[[Settings], Surroundings]


async def check_everything(
    environment: Mapping[str, str], surroundings_of: SurroundingsOf, **overrides: Any
) -> AsyncIterator[Finding]:
    """Yield the findings; `overrides` are settings of the command line."""
    try:
        settings = load_settings(**overrides)
    except SettingsError as error:
        yield failed("settings", str(error), "Correct the variables; see: orchesty-worker settings")
        for check in ("topology", "actions", "broker", "queues", "trash", "disk", "storage"):
            yield not_before(check, "correct the settings")
        return
    yield check_variables(environment)
    finding, topology = check_topology(settings)
    yield finding
    nodes = topology.select(settings.nodes) if topology else ()
    if topology:
        yield await check_actions(settings, nodes)
        for finding in check_time(settings, nodes):
            yield finding
    async for finding in _check_broker(settings, surroundings_of(settings), topology, nodes):
        yield finding
    async for finding in check_trash(settings.trash_address):
        yield finding
    yield check_disk(settings.trash_address)
    if has_keys(settings):
        yield check_journal(settings.token_journal)
    yield await check_storage(settings.storage_address)
    async for finding in check_databases(settings, nodes):
        yield finding
    async for finding in check_installation(settings):
        yield finding
    yield check_modes(_stored_files(settings))


def _stored_files(settings: Settings) -> Iterator[Path]:
    """Yield the files of this machine that hold data and secrets, whether they are there yet or not."""
    if settings.secret_keys_file:
        yield settings.secret_keys_file
    for address in ("trash_address", "storage_address", "process_address", "marks_address", "installs_address"):
        with suppress(SettingsError):  # another check says so
            yield from _file_of(getattr(settings, address))
    with suppress(OSError):  # as here
        yield from settings.token_journal.glob("*")


def _file_of(url: str) -> Iterator[Path]:
    if (path := sqlite_path(url)) is not None:
        yield path


async def _check_broker(
    settings: Settings, surroundings: Surroundings, topology: Topology | None, nodes: tuple[Node, ...]
) -> AsyncIterator[Finding]:
    try:
        url = settings.broker_address(topology.amqp_url if topology else None)
    except SettingsError as error:
        yield failed("broker", str(error), "Set WORKER_AMQP_URL, or give --amqp-url.")
        return
    is_reachable = False
    async for finding in check_broker(url):
        is_reachable = is_reachable or (finding.check == "broker" and finding.state is not FindingState.FAILED)
        yield finding
    if not is_reachable:
        yield not_before("plugin, permissions, queues", "reach the broker")
        return
    if LOST in surroundings.queues:
        yield await check_lost(url)
    if topology is None:
        yield not_before("queues", "give a topology")
    else:
        yield await check_channels(url, nodes, surroundings)
        yield await check_followers(url, topology, nodes)
        yield await check_queues(url, wanted_queues(nodes, surroundings))
        yield await check_leftovers(url, nodes, surroundings)
