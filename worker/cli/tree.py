"""All commands and what each is for. A command is imported when it is called."""

import click

from worker.cli.lazy import Lazy

actions = click.Group(
    "actions",
    commands=[
        Lazy("list", "actions:list_", "List the actions by kind and name; your own are first."),
        Lazy(
            "run",
            "action_run:run_",
            "Run an action with a message, and show its requests, the replies and the outcome.",
        ),
        Lazy(
            "schema",
            "actions:schema_",
            'Print the JSON schemas of an action\'s input and output: {"input": ..., "output": ...}.',
        ),
        Lazy(
            "show",
            "actions:show",
            "Show what an action does: its description and the JSON schemas of its input and output.",
        ),
    ],
    help="Look at the actions of the catalogue, of installed packages and of --actions, and run one.",
    epilog="\b\nExample:\n  orchesty-worker actions list --actions my_package.actions\n",
)

applications = click.Group(
    "applications",
    commands=[
        Lazy(
            "call",
            "applications:call",
            "Call a synchronous method of an application, and print its answer.",
        ),
        Lazy("list", "applications:list_", "List the applications by key."),
        Lazy(
            "show",
            "applications:show_",
            "Show the settings that a user fills in for an application, and how its requests are signed.",
        ),
    ],
    help="Look at the applications of the catalogue and of --actions: the services that users can install.",
    epilog="""\b
Examples:
  orchesty-worker applications list
  orchesty-worker applications show xero
""",
)

installs = click.Group(
    "installs",
    commands=[
        Lazy("add", "installs:add", "Install an application for a user."),
        Lazy(
            "authorize",
            "authorize:authorize",
            "Log a user in at a service: print the address to open, and wait for the browser to come back.",
        ),
        Lazy("disable", "installs:disable", "Switch an install off: its messages go to the trash."),
        Lazy("enable", "installs:enable", "Switch an install on."),
        Lazy("list", "installs:list_", "List the installs: user, application, and the state of the login."),
        Lazy("remove", "installs:remove", "Delete an install permanently, with its settings and login."),
        Lazy("set", "installs:set_", "Change settings of an install; others stay."),
        Lazy("show", "install_show:show", "Show the settings of an install, and what can be chosen."),
    ],
    help="Manage the installs of users: settings, logins, on and off.",
    epilog="""\b
Examples:
  orchesty-worker installs add shopify alice shopifyUrl=https://eshop.myshopify.com token
  orchesty-worker installs list
  orchesty-worker installs authorize xero alice
""",
)

limits = click.Group(
    "limits",
    commands=[
        Lazy(
            "list",
            "limits:list_",
            "List the limits used in the last day: calls in the window, waiting messages, time of the next call.",
        ),
        Lazy(
            "reset",
            "limits:reset",
            "Forget the calls of KEY, what the service said about it, and that Redis may have lost calls.",
        ),
        Lazy(
            "show",
            "limits:show",
            "Show the limits of KEY: user|application, or |application for the limit that all users share.",
        ),
    ],
    help="Look at the limits that workers share in Redis, and reset them.",
    epilog="""\b
Examples:
  orchesty-worker limits list
  orchesty-worker limits reset 'alice|hubspot'
""",
)

new = click.Group(
    "new",
    commands=[
        Lazy("application", "new:application", "Write an application: what all endpoints of a service share."),
        Lazy("batch", "new:batch", "Write a batch: it turns one message into many, page by page."),
        Lazy("connector", "new:connector", "Write a connector: one endpoint of a service."),
        Lazy("node", "new:node", "Write a custom node: it transforms, filters or routes messages."),
        Lazy(
            "service",
            "new:service",
            "Write a service for an Orchesty installation: a package with an application, a connector and its tests.",
        ),
    ],
    help="Write a skeleton with its test. Existing files are never overwritten.",
    epilog="\b\nExample:\n  orchesty-worker new connector shop-get-order --application shop\n",
)

processes = click.Group(
    "processes",
    commands=[
        Lazy(
            "cancel",
            "processes.cancel:cancel",
            "Stop processes: their messages end wherever they are, and no more actions are called.",
        ),
        Lazy("list", "processes.look:list_", "List processes, newest last."),
        Lazy(
            "show", "processes.look:show", "Show a process: its totals, and the ended and open messages of each node."
        ),
        Lazy("watch", "processes.watch:watch", "Watch processes until Ctrl-C, or one PROCESS until it ends."),
    ],
    help="""Look at the runs of topologies, and stop them (standalone mode).

A process is one run of a topology. Its id is the correlation id, which you may shorten as long as it is unique.""",
    epilog="""\b
Examples:
  orchesty-worker processes list --state running
  orchesty-worker processes show 7f0c2b1e
  orchesty-worker processes watch
  orchesty-worker processes cancel 7f0c2b1e
""",
)

secrets = click.Group(
    "secrets",
    commands=[
        Lazy("generate", "secrets:generate", "Make a key."),
        Lazy("rotate", "secrets:rotate", "Re-encrypt everything with the newest key, the first of WORKER_SECRET_KEYS."),
    ],
    help="Make and change the keys that encrypt the settings and tokens of installs.",
    epilog="""\b
Examples:
  orchesty-worker secrets generate > keys.txt
  orchesty-worker secrets rotate
""",
)

storage = click.Group(
    "storage",
    commands=[
        Lazy(
            "list",
            "storage:list_",
            "List the collections that have items: name, owner, number of items, and when they expire.",
        ),
        Lazy("purge", "storage:purge", "Delete the items of collections permanently."),
        Lazy("show", "storage:show", "Show a collection and its first items, one line of JSON each."),
    ],
    help="Look at the items that actions keep in the data storage, and delete them.",
    epilog="""\b
Examples:
  orchesty-worker storage list
  orchesty-worker storage show products --user alice
  orchesty-worker storage purge --name products --dry-run
""",
)

topology = click.Group(
    "topology",
    commands=[
        Lazy("check", "topology:check", "Check a topology file (default: TOPOLOGY_JSON) and show its nodes."),
        Lazy(
            "export",
            "editor_files:export",
            "Turn a topology FILE, or BPMN, into a .tplg.json file, which the platform's editor imports.",
        ),
        Lazy(
            "import",
            "editor_files:import_",
            "Turn a FILE of the platform's editor, .tplg.json or BPMN, into a topology file.",
        ),
        Lazy("show", "topology:show", "Draw the graph of a topology file (default: TOPOLOGY_JSON)."),
    ],
    help="Look at topology files, and turn those of the platform's editor into them and back.",
    epilog="\b\nExample:\n  orchesty-worker topology show topology.json\n",
)

trash = click.Group(
    "trash",
    commands=[
        Lazy(
            "approve",
            "trash.decide:approve",
            "Send entries back to their node: by id, by filters, or all.",
        ),
        Lazy(
            "collect",
            "trash.collect:collect",
            "Collect messages whose node's queue was gone when they came back from a repeat or a limit.",
        ),
        Lazy("edit", "trash.edit:edit", "Change the body of a waiting entry in $VISUAL or $EDITOR."),
        Lazy(
            "export",
            "trash.transfer:export",
            "Write entries to FILE (- is standard output), one line of JSON each, complete.",
        ),
        Lazy("import", "trash.transfer:import_", "Read entries from FILE (- is standard input) that `export` wrote."),
        Lazy("list", "trash.look:list_", "List the entries that wait for a decision, oldest first."),
        Lazy(
            "purge",
            "trash.purge:purge",
            "Delete old entries permanently: decided ones and, if you say so, waiting ones.",
        ),
        Lazy("reject", "trash.decide:reject", "Reject entries: they are kept, but not sent back."),
        Lazy("show", "trash.look:show", "Show everything about an entry, with its headers and body."),
    ],
    help="""Look at messages in the trash and at user tasks, repair them, and decide about them.

You may shorten ids as long as they are unique. An entry has to match all filters.""",
    epilog="""\b
Examples:
  orchesty-worker trash list --node fetch-orders --newer-than 2h
  orchesty-worker trash show 1f3a
  orchesty-worker trash edit 1f3a
  orchesty-worker trash approve 1f3a
  orchesty-worker trash approve --reason "503" --dry-run
""",
)

webhooks = click.Group(
    "webhooks",
    commands=[
        Lazy("list", "webhooks:list_", "List the webhooks."),
        Lazy(
            "subscribe",
            "webhooks:subscribe",
            "Let a service call the worker whenever NAME happens, and start the topology at a node.",
        ),
        Lazy("unsubscribe", "webhooks:unsubscribe", "End a webhook, here and at the service."),
    ],
    help="Let services call this worker when something happens.",
    epilog="""\b
Examples:
  orchesty-worker webhooks subscribe shopify alice orders/create --node start
  orchesty-worker webhooks list
""",
)

COMMANDS = (
    actions,
    applications,
    Lazy("check", "check:check", "Check whether a worker can do its work here, and say what to do if not."),
    installs,
    limits,
    new,
    processes,
    Lazy("run", "run:run", "Consume the nodes of a topology until SIGTERM or Ctrl-C."),
    secrets,
    Lazy(
        "serve",
        "serve:serve",
        "Answer an Orchesty installation as a service: register it there by name and URL.",
    ),
    Lazy("settings", "settings:settings", "Print all settings as a page of Markdown (docs/settings.md)."),
    Lazy("start", "start:start", "Start a process at NODE (id or name) of the topology."),
    storage,
    topology,
    trash,
    webhooks,
)
