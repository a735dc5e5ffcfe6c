"""Administering a broker of ours: users and what they may do."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from yarl import URL

from deploy.broker import Broker, ContainerBroker, PrivateNode


def rabbitmqctl(broker: Broker, *arguments: str) -> str:
    """Run `rabbitmqctl` beside the broker; return what it prints."""
    if isinstance(broker, ContainerBroker):
        code, output = broker._container.get_wrapped_container().exec_run(["rabbitmqctl", *arguments])
        assert code == 0, output
        return str(output.decode())
    assert isinstance(broker, PrivateNode)
    command = [str(broker._server.with_name("rabbitmqctl")), *arguments]
    done = subprocess.run(
        command,
        env=broker._environment(),
        user=broker._account,
        group=broker._account,
        extra_groups=[] if broker._account else None,
        cwd=broker._directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def memory_alarm(broker: Broker) -> Iterator[None]:
    """Let the broker slow publishers down, as one does that is short of memory."""
    usual = rabbitmqctl(broker, "eval", "vm_memory_monitor:get_vm_memory_high_watermark().").strip()
    rabbitmqctl(broker, "set_vm_memory_high_watermark", "0")
    try:
        yield
    finally:
        rabbitmqctl(broker, "set_vm_memory_high_watermark", usual)


def unacknowledged(broker: Broker, queue: str) -> int:
    """Count the messages of a queue that are delivered and not acknowledged."""
    lines = rabbitmqctl(broker, "list_queues", "--quiet", "--no-table-headers", "name", "messages_unacknowledged")
    return int(dict(line.split() for line in lines.splitlines())[queue])


@contextmanager
def setting(broker: Broker, name: str, value: int) -> Iterator[None]:
    """Change a setting of the broker for connections and channels to come."""
    change = f"{{ok, Usual}} = application:get_env(rabbit, {name}), ok = application:set_env(rabbit, {name}, {value})"
    usual = rabbitmqctl(broker, "eval", f"{change}, Usual.").strip()
    try:
        yield
    finally:
        rabbitmqctl(broker, "eval", f"application:set_env(rabbit, {name}, {usual}).")


def add_user(broker: Broker, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> str:
    """Add a user with these permissions; return the broker's URL for it.

    It stays for as long as the broker: each start of rabbitmqctl takes a second of CPU time.
    """
    name = f"user-{uuid4().hex[:8]}"
    permissions = ", ".join(map(_binary, (name, "/", configure, write, read, "tests")))
    added = f'rabbit_auth_backend_internal:add_user({_binary(name)}, <<"secret">>, <<"tests">>)'
    rabbitmqctl(broker, "eval", f"ok = {added}, ok = rabbit_auth_backend_internal:set_permissions({permissions}).")
    return str(URL(broker.url).with_user(name).with_password("secret"))


def _binary(text: str) -> str:
    """Return text as Erlang writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}">>'
