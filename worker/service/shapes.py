"""Applications and installs as the platform's backend reads them. Each key that it reads is always there."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final

from applications import Application
from applications.application import CustomAction
from applications.authentication import LoginAuthentication
from applications.forms import AUTHORIZATION_FORM, FormFacts, Values, show
from applications.install import Install

CALLBACKS: Final = ("afterDisableCallback", "afterEnableCallback", "afterInstallCallback", "afterUninstallCallback")
"""Methods that the platform calls for each application after a change of an install."""


def application_facts(application: type[Application]) -> dict[str, Any]:
    """Return what every view of an application begins with."""
    return {
        "name": application.public_name(),
        "authorization_type": application.authentication.type,
        "application_type": application.kind.value,
        "key": application.key,
        "description": application.description,
        "info": application.info,
        "logo": _logo(application.logo) if application.logo else None,
        "isInstallable": application.is_installable,
    }


def sync_names(application: type[Application]) -> Sequence[str]:
    """Return the synchronous methods that can be called."""
    return list(dict.fromkeys([*sorted(application.sync_methods()), *CALLBACKS]))


def custom_actions(actions: Iterable[CustomAction]) -> list[dict[str, str]]:
    """Return the buttons of an application."""
    found = [
        {
            "name": action.name,
            "url": action.url,
            "action": action.action,
            "body": action.body,
            "topologyName": action.topology,
            "nodeName": action.node,
        }
        for action in actions
    ]
    return [{name: value for name, value in action.items() if value is not None} for action in found]


def install_facts(install: Install) -> dict[str, Any]:
    """Return what every view of an install begins with."""
    return {
        "id": sha256(f"{install.user}\x1f{install.application}\x1f{install.sdk}".encode()).hexdigest()[:24],
        "user": install.user,
        "key": install.application,
        "enabled": install.is_enabled,
        "deleted": False,
        "nonEncryptedSettings": dict(install.plain),
        "created": _time(install.created),
        "update": _time(install.updated),
        "expires": _time(install.expires) if install.expires else None,
    }


def forms_of(
    application: type[Application], facts: Iterable[FormFacts], settings: Values, redirect_uri: str
) -> Mapping[str, Any]:
    """Return the forms with what is stored; for a login also the address to register at the service."""
    forms = {key: dict(form) for key, form in show(facts, settings).items()}
    way = application.authentication
    if isinstance(way, LoginAuthentication) and way.is_login and AUTHORIZATION_FORM in forms:
        own = forms[AUTHORIZATION_FORM]
        forms[AUTHORIZATION_FORM] = own | {"fields": [*own["fields"], _redirect_field(redirect_uri)]}
    return forms


def _redirect_field(redirect_uri: str) -> Mapping[str, Any]:
    return {
        "type": "text",
        "key": "redirect_url",
        "value": redirect_uri,
        "label": "Redirect URL",
        "description": "",
        "required": False,
        "readOnly": True,
        "disabled": False,
        "choices": [],
    }


@lru_cache(256)
def _logo(path: Path) -> str | None:
    """Return the image for a page; None for a file that cannot be read, so that no list lacks an application."""
    try:
        content = b64encode(path.read_bytes()).decode()
    except OSError:
        return None
    return f"data:{guess_type(path.name)[0] or 'image/png'};base64, {content}"


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
