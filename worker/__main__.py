"""`python -m worker` is `orchesty-worker`."""

from worker.cli import main

main()
