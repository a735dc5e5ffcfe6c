"""`python -m tests.golden FOLDER`: replay a folder of recorded calls."""

import asyncio
import sys
from pathlib import Path

from .replay import read_cases, replayed


def main(arguments: list[str]) -> int:
    """Print a line for each case and the sum; return 1 when one differs, 2 for wrong usage."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m tests.golden FOLDER", file=sys.stderr)
        return 2
    found = asyncio.run(replayed(read_cases(Path(arguments[0]))))
    for name, said in found.items():
        print(f"failed {name}: {said}" if said else f"passed {name}")
    failed = sum(map(bool, found.values()))
    print(f"{len(found) - failed} passed, {failed} failed")
    return 1 if failed or not found else 0


sys.exit(main(sys.argv[1:]))
