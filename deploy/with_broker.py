"""Runs a command with a broker: its URL is in WORKER_TEST_AMQP_URL and WORKER_AMQP_URL."""

import os
import subprocess
import sys

from deploy.broker import URL_VARIABLE, provide_broker


def main() -> None:
    """Run the command of the arguments and end with its exit status.

    Example: python -m deploy.with_broker orchesty-worker run --topology topology.json
    """
    if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help"}:
        sys.exit(f"Usage: python -m deploy.with_broker COMMAND [ARGUMENT ...]\n\n{main.__doc__}")
    with provide_broker() as broker:
        environment = {**os.environ, URL_VARIABLE: broker.url, "WORKER_AMQP_URL": broker.url}
        status = subprocess.run(sys.argv[1:], env=environment, check=False).returncode
    sys.exit(status)


if __name__ == "__main__":
    main()
