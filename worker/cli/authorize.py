"""`orchesty-worker installs authorize`: a login with the browser of this machine."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from aiohttp import web
from rich.console import Console

from applications import Application
from applications.errors import ApplicationError, LoginForged
from worker.actions.applications import find_application
from worker.cli.accounts import command_line, installs_option, opened, sdk_option
from worker.cli.action_options import actions_option
from worker.cli.applications import known
from worker.cli.printing import say
from worker.doors.server import listening
from worker.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    from applications.accounts import Accounts

HOST = "127.0.0.1"
PORT = 8976
PATIENCE_SECONDS = 600
"""As long as the state of a login lives."""
CLOSE_SECONDS = 1
_HEADERS = {"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"}


@click.command(
    epilog="""\b
Examples:
  orchesty-worker installs authorize xero alice
  orchesty-worker installs authorize xero alice --port 9000
"""
)
@click.argument("application")
@click.argument("user")
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(0, 65535),
    help="Local port to which the service redirects the browser; register it there. 0: any free port.",
)  # fmt: skip
@sdk_option
@actions_option
@installs_option
def authorize(
    application: str, user: str, port: int, sdk: str, actions: tuple[str, ...], installs_url: str | None
) -> None:
    """Log a user in at a service: print the address to open, and wait for the browser to come back.

    Register the redirect URI that the command prints (http://127.0.0.1:8976/callback) at the service. The browser has
    to run on this machine; if it runs elsewhere, forward the port: ssh -L 8976:127.0.0.1:8976 HOST
    """
    found = find_application(known(actions), application)
    asyncio.run(_authorize(load_settings(installs_url=installs_url), found, user, sdk, port))


async def _authorize(settings: Settings, application: type[Application], user: str, sdk: str, port: int) -> None:
    async with opened(settings) as accounts:
        waiting = _Callback(accounts, application, user)
        async with listening(waiting.application(), HOST, port, CLOSE_SECONDS, cure="Choose another --port.") as bound:
            redirect_uri = f"http://{HOST}:{bound}/callback"
            url = await accounts.logins.start(application, user, redirect_uri, sdk=sdk)
            for line in (f"Redirect URI: {redirect_uri}", "Open this address and log in:", "", url, ""):
                say(line)
            with Console(stderr=True).status("waiting for the browser to come back"):
                found = await waiting.result()
    say(f"User {user} is logged in to {application.key}.")
    for name, value in found.items():
        say(f"  {name}: {value}")
    which = ("--user", user, "--application", application.key, "--reason", "needs reconnect")
    say(f"Messages that waited for it: {command_line('trash', 'approve', *which)}")


class _Callback:
    """Waits for the service to send the browser back."""

    def __init__(self, accounts: "Accounts", application: type[Application], user: str) -> None:
        self._accounts, self._application, self._user = accounts, application, user
        self._done: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()

    def application(self) -> web.Application:
        """Return what answers the browser."""
        application = web.Application()
        application.router.add_get("/callback", self._answer)
        return application

    async def result(self) -> Mapping[str, Any]:
        """Return the settings that the login brought. Raises what went wrong."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._done
        except TimeoutError:
            raise click.ClickException(f"nobody logged in within {PATIENCE_SECONDS // 60} minutes") from None

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            callback = await self._accounts.logins.read(dict(request.query), self._user)
            found = await self._accounts.finish_login(self._application, callback)
        except LoginForged as error:  # somebody else's; ours may still come
            return web.Response(status=400, text=str(error), headers=_HEADERS)
        except ApplicationError as error:
            self._end(error)
            return web.Response(status=400, text=str(error), headers=_HEADERS)
        except Exception as error:  # the application's own code may raise anything, and the command shall not hang
            self._end(error)
            raise
        self._end(found)
        return web.Response(text="You are logged in. You may close this window.", headers=_HEADERS)

    def _end(self, result: Mapping[str, Any] | Exception) -> None:
        if self._done.done():
            return
        if isinstance(result, Exception):
            self._done.set_exception(result)
        else:
            self._done.set_result(result)
