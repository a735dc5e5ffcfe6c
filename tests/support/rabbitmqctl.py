"""Administering a broker of ours: users and what they may do."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from yarl import URL

from deploy.broker import Broker, ContainerBroker, PrivateNode


def rabbitmqctl(broker: Broker, *arguments: str) -> None:
    """Run `rabbitmqctl` beside the broker."""
    if isinstance(broker, ContainerBroker):
        code, output = broker._container.get_wrapped_container().exec_run(["rabbitmqctl", *arguments])
        assert code == 0, output
        return
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


@contextmanager
def user(broker: Broker, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> Iterator[str]:
    """Add a user with these permissions; yields the broker's URL for it."""
    name = f"user-{uuid4().hex[:8]}"
    rabbitmqctl(broker, "add_user", name, "secret")
    try:
        rabbitmqctl(broker, "set_permissions", name, configure, write, read)
        yield str(URL(broker.url).with_user(name).with_password("secret"))
    finally:
        rabbitmqctl(broker, "delete_user", name)
