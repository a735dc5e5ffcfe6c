"""The relay in Celery: a task for each node, which sends the next node's task and one for the counter.

`fill` sends the first messages, since Celery's messages have a form of their own; `run` works.
"""

import sys
from itertools import pairwise

from celery import Celery
from kombu import Queue


def build(url: str, prefetch: int, counter: str, *nodes: str) -> Celery:
    """Return the application with a task for each node but the last."""
    app = Celery("relay", broker=url)
    names = [*(f"node.{node}.1" for node in nodes), counter]
    app.conf.update(
        task_queues=[Queue(name, queue_arguments={"x-queue-type": "quorum"}) for name in names],
        task_ignore_result=True,
        task_acks_late=True,
        task_create_missing_queues=True,
        worker_prefetch_multiplier=prefetch,
        worker_concurrency=1,
        worker_detect_quorum_queues=True,
        broker_transport_options={"confirm_publish": True},
        broker_native_delayed_delivery_queue_type="quorum",
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    for source, target in pairwise(nodes):
        add_relay(app, source, f"node.{target}.1", counter)
    return app


def add_relay(app: Celery, source: str, target: str, counter: str) -> None:
    """Send the next task and the report."""
    following = target.removeprefix("node.").removesuffix(".1")

    @app.task(name=source)
    def process(envelope: dict[str, object]) -> None:
        envelope["headers"]["previous-node-id"] = source
        app.send_task(following, (envelope,), queue=target)
        report = {"headers": envelope["headers"], "body": '{"success":true,"following":1}'}
        app.send_task("count", (report,), queue=counter)


def fill(app: Celery, node: str, count: int, body: str) -> None:
    """Declare the queues and send the first messages."""
    headers = {"correlation-id": "run", "process-id": "process", "parent-id": "", "user": "bench"}
    with app.producer_or_acquire() as producer:
        for queue in app.conf.task_queues:
            queue(producer.channel).declare()
        for _ in range(count):
            app.send_task(node, ({"headers": headers, "body": body},), queue=f"node.{node}.1", producer=producer)


def run(app: Celery, nodes: list[str]) -> None:
    """Work until terminated."""
    queues = ",".join(f"node.{node}.1" for node in nodes[:-1])
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    app.worker_main(["worker", "--pool=solo", f"--queues={queues}", *quiet])


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        messages, size, url, prefetch, counter, *nodes = sys.argv[2:]
        fill(build(url, int(prefetch), counter, *nodes), nodes[0], int(messages), "x" * int(size))
    else:
        url, prefetch, counter, *nodes = sys.argv[2:]
        run(build(url, int(prefetch), counter, *nodes), nodes)
