"""What the demonstration says."""

from examples.demo.account import INSTALLS, USER
from examples.demo.actions import World
from examples.demo.service import BROKEN, LIMIT_CALLS, LIMIT_SECONDS

LIMITER_KEY = f"|{World.key};{LIMIT_SECONDS};{LIMIT_CALLS}"
"""The limit that the run's messages carry. In the platform, users set it in a form of the application."""

RUN = (
    "\n[bold]A run.[/] list-countries pages through a REST service, fetch-country asks it for each country, "
    "only-divided leaves out countries without regions, and each of the others goes to a file and to a tally. "
    "At times the service answers 429 or 503: such a message waits in RabbitMQ for as long as the answer says. "
    f"And it may be called {LIMIT_CALLS} times in {LIMIT_SECONDS} s at most: a message for which there is no room "
    f"waits in RabbitMQ for its turn. The tally wants a token: that of the user {USER} stands in {INSTALLS}, "
    "encrypted with a key that was made for this run.\n"
)

TRASH = "\n[bold]The trash.[/] One message could not go on. It is kept, with the reason, until a person decides:"

CAUSE = (
    f'\nThe service has lost the code of Namibia: somebody\'s CSV reader took "{BROKEN}" for "not available". So its '
    "answer is not a Country of actions.py. The record is repaired now, and the message may go on from where it "
    "stopped:"
)

NEXT = """
[bold]What to try next[/]
  less examples/demo/actions.py   # what an author writes
  less var/demo/countries.jsonl   # the result; beside it tally.json, worker.log
  .venv/bin/orchesty-worker topology check examples/demo/topology.json
  make test                       # the worker's promises, on a real RabbitMQ
  make bench                      # its speed, with no service to wait for"""
