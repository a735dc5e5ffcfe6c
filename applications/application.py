"""An application: what all endpoints of one service share."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, overload

from applications.authentication import Authentication, NoAuthentication, TokenAuthentication
from applications.forms import LIMITER_FORM, AtRunTime, Form, FormFacts, Values, facts_of, flat, missing
from applications.http.client import Client
from applications.http.values import setting_text
from applications.limit import Limit, limit_name
from applications.signatures import Signature
from applications.starting import StartTopology, start_nothing
from applications.templates import placeholders
from applications.webhook_call import Handshake, Subscription, WebhookCall

if TYPE_CHECKING:
    from applications.install import Install
    from applications.user_installs import UserInstalls

Sync = TypeVar("Sync", bound=Callable[..., Awaitable[Any]])

_SYNC: Final = "_sync_name"


class ApplicationType(StrEnum):
    """Whether the service calls us."""

    CRON = "cron"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class CustomAction:
    """A button of the platform's user interface: opens a URL, or starts a topology."""

    name: str
    action: str
    """`open` or `call`."""
    url: str | None = None
    topology: str | None = None
    node: str | None = None
    body: str | None = None


class Application:
    """One service, as its connectors see it.

    Subclass it once per service and name it in each connector's `application`. A topology's node names it by
    `key`, and limits are counted for that key. Class attributes say everything; `{name}` in base URL, headers and
    authentication is filled from the settings of the user whose message is in work.
    """

    key: ClassVar[str]
    """Unique and stable; the `application` of the topology's nodes and of limiter keys."""

    name: ClassVar[str] = ""
    """What people call the service."""

    description: ClassVar[str] = ""

    info: ClassVar[str] = ""
    """A longer text, in Markdown."""

    logo: ClassVar[Path | None] = None
    """An image file."""

    kind: ClassVar[ApplicationType] = ApplicationType.CRON

    base_url: ClassVar[str] = ""
    """What a connector's relative path is appended to."""

    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """HTTP headers that every request to the service carries."""

    authentication: ClassVar[Authentication] = NoAuthentication()

    forms: ClassVar[tuple[type[Form], ...]] = ()
    """What the user fills in; the form for the user's own limit is added."""

    limit: ClassVar[Limit | None] = None
    """The service's limit for each user; a user's own one wins."""

    group_limit: ClassVar[Limit | None] = None
    """The service's limit for all users together."""

    is_installable: ClassVar[bool] = True
    """Whether the platform's marketplace offers it to people."""

    custom_actions: ClassVar[tuple[CustomAction, ...]] = ()

    webhooks: ClassVar[tuple[Subscription, ...]] = ()
    """The events that the service can call us for."""

    signature: ClassVar[Signature | None] = None
    """How the service signs its calls; see `applications.signatures`. Without one, the token in the address is all."""

    signature_secret: ClassVar[str] = ""
    """The setting with the secret that the service signs with. Empty: with the one that `subscribe` gave it."""

    delivery_header: ClassVar[str] = ""
    """The header with the id of a call, in lower case, by which a second delivery is known."""

    start_topology: StartTopology = staticmethod(start_nothing)
    """Starts a topology from any method here: `await self.start_topology("welcome", data={...}, user="alice")`."""

    installs: "UserInstalls"
    """The users' installs, to find them and to change their plain settings; the worker gives it."""

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Let the service call `url` when `name` happens; return what the service calls it.

        `url` is secret, `secret` is what the service may sign with, and `parameters` are those of the `Subscription`,
        all there. May raise what `client` raises: nothing stays then.
        """
        raise NotImplementedError(f"{self.key} declares webhooks and has to say how to subscribe")

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Let the service call no more; one that it does not know any more is a success.

        May raise what `client` raises: the webhook stays then.
        """
        raise NotImplementedError(f"{self.key} declares webhooks and has to say how to unsubscribe")

    def handshake(self, call: WebhookCall) -> Handshake | Awaitable[Handshake | None] | None:
        """Return what the service wants to hear when this genuine call shall not start the webhook's topology.

        May be `async`, and then start others with `self.start_topology`; if nobody takes the start, the service is
        told to call again. It may take 8 seconds.
        """
        return None

    def delivery_id(self, call: WebhookCall) -> str | Awaitable[str]:
        """Return the service's id of the call, the same when it is delivered again; empty when there is none.

        May be `async`.
        """
        return call.headers.get(self.delivery_header, "")

    async def choices(self, client: Client) -> AtRunTime:
        """Return choices by field that only the service knows, or all that a field shows; `client` asks as the user.

        May raise what `client` raises: no settings are saved then.
        """
        return {}

    async def logged_in(self, client: Client, callback: Mapping[str, str]) -> Mapping[str, Any]:
        """Return settings that a login brings, such as the account's id; asked once after each login.

        `callback` is the query that the service sent the user back with. What is raised ends the login; raise
        `LoginRefused` with what the user can do about it.
        """
        return {}

    async def after_install(self, install: "Install", client: Client) -> None:
        """Do what is to be done once a user has installed the application; the install may lack settings and login.

        `client` asks the service with the settings and the token of the moment of the change, whatever becomes of the
        install afterwards; it raises `NotReady` as long as they do not suffice. What a hook raises is told to the
        person and in the log, and the change stays. The same holds for the other three.
        """

    async def after_uninstall(self, install: "Install", client: Client) -> None:
        """Do what is to be done once a user has removed it, such as revoking `await client.token()`."""

    async def after_enable(self, install: "Install", client: Client) -> None:
        """Do what is to be done once the user's install was switched on."""

    async def after_disable(self, install: "Install", client: Client) -> None:
        """Do what is to be done once the user's install was switched off."""

    @classmethod
    def public_name(cls) -> str:
        """Return the name, else the key."""
        return cls.name or cls.key

    @classmethod
    def needs_install(cls) -> bool:
        """Whether requests are made for a user; without, base URL and headers are all there is."""
        return bool(cls.forms) or not isinstance(cls.authentication, NoAuthentication)

    @classmethod
    def has_limit(cls) -> bool:
        """Whether the service limits calls: those of each user, or those of all together."""
        return bool(cls.limit or cls.group_limit)

    @classmethod
    def form_facts(cls, choices: AtRunTime | None = None) -> list[FormFacts]:
        """Return the forms as the platform knows them."""
        return facts_of(cls.forms, choices)

    @classmethod
    def text_settings(cls, settings: Values, plain: Mapping[str, Any]) -> dict[str, str]:
        """Return settings as text, by field: what placeholders are filled from."""
        return flat(cls.form_facts(), settings) | {
            name: setting_text(value) for name, value in plain.items() if value is not None
        }

    @classmethod
    def secrets(cls, settings: Values) -> set[str]:
        """Return the values of secret fields."""
        fields = [(form.key, field.key) for form in cls.form_facts() for field in form.fields if field.is_secret]
        return {str(value) for form, key in fields if (value := settings.get(form, {}).get(key))}

    @classmethod
    def missing(cls, settings: Values) -> list[str]:
        """Return the fields that a person still has to fill in."""
        facts = cls.form_facts()
        text = flat(facts, settings)
        lacking = [name for name in cls.authentication.needs if cls._lacks(name, text)]
        return list(dict.fromkeys([*missing(facts, settings), *lacking]))

    @classmethod
    def missing_for_calls(cls, text: Mapping[str, str]) -> list[str]:
        """Return the placeholders of base URL and headers that have no value, which a login may bring."""
        named = placeholders(cls.base_url + "".join(cls.headers.values()))
        return [name for name in named if cls._lacks(name, text)]

    @classmethod
    def _lacks(cls, name: str, text: Mapping[str, str]) -> bool:
        """Whether a setting has no value; an empty one is a value where a form has it as optional."""
        optional = {field.key for form in cls.form_facts() for field in form.fields if not field.is_required}
        return name not in text or (not text[name] and name not in optional)

    @classmethod
    def is_authorized(cls, settings: Values, *, has_token: bool) -> bool:
        """Whether calls can be made."""
        way = cls.authentication
        return not cls.missing(settings) and (has_token or not isinstance(way, TokenAuthentication) or not way.is_login)

    @classmethod
    def user_limit(cls, settings: Values) -> Limit | None:
        """Return the limit of a user with these settings: that of the limiter form, else the application's."""
        own = settings.get(LIMITER_FORM, {})
        if own.get("useLimit") and own.get("time") and own.get("value"):
            return Limit(own["time"], own["value"])
        return cls.limit

    @classmethod
    def shared_limit(cls, settings: Values) -> Limit | None:
        """Return the limit of all users: that of a limiter form with fields for it, else the application's."""
        own = settings.get(LIMITER_FORM, {})
        if own.get("groupTime") and own.get("groupValue"):
            return Limit(own["groupTime"], own["groupValue"])
        return cls.group_limit

    @classmethod
    def limits(cls, user: str, settings: Values, sdk: str = "") -> str:
        """Return the limiter key of a user: `user|key;seconds;amount`, and `|key;seconds;amount` for the group.

        With an `sdk` the key is `sdk:key`.
        """
        named = ((user, cls.user_limit(settings)), ("", cls.shared_limit(settings)))
        names = [(limit_name(who, cls.key, sdk), limit) for who, limit in named if limit]
        return ";".join(f"{name};{limit.seconds};{limit.amount}" for name, limit in names)

    @classmethod
    def sync_methods(cls) -> Mapping[str, Callable[..., Awaitable[Any]]]:
        """Return what the platform's user interface may call, by name."""
        found = inspect.getmembers(cls, lambda member: hasattr(member, _SYNC))
        return {getattr(method, _SYNC): method for _, method in found}


@overload
def sync_method(method: Sync, /) -> Sync: ...
@overload
def sync_method(name: str, /) -> Callable[[Sync], Sync]: ...
def sync_method(method: Any, /) -> Any:
    """Let the platform's user interface and `orchesty-worker applications call` ask this method of an application.

    It takes a `SyncCall`, and returns what can be JSON, a `TextReply`, or None for a plain success. It may raise what
    `call.client` raises: `async def orders(self, call: SyncCall) -> Any`. Others call it by its own name, or by the
    one in `@sync_method("listOrders")`.
    """
    if isinstance(method, str):
        return lambda named: _named(named, method)
    return _named(method, method.__name__)


def _named(method: Sync, name: str) -> Sync:
    setattr(method, _SYNC, name)
    return method
