"""`python -m worker` is `orchesty-worker`."""

from orchesty_worker import main

main()
