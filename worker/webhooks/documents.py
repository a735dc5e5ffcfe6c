"""Webhooks in the documents of the platform, where its editor and its starting point look for them.

The starting point compares tokens, so they are readable there. What a service signs with is ours: it is sealed.
"""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from applications.crypt import Keyring
from worker.documents.client import Collection, Document, DocumentClient, DocumentsAway
from worker.webhooks.store import TOKEN_BYTES
from worker.webhooks.webhook import Webhook, WebhookSecrets, as_text

_PLACE: Final = "webhook of the platform"
_SECRET: Final = "workerSecret"  # noqa: S105 - the name of a field
_ASKED: Final = {"user": "users", "application": "apps"}
"""What worker-api filters by; the rest is looked at here."""


class PlatformWebhooks:
    """The `Webhooks` of all services of one installation."""

    def __init__(self, documents: DocumentClient, keyring: Keyring) -> None:
        self._documents = documents
        self._keyring = keyring

    async def add(
        self, user: str, application: str, name: str, topology: str, node: str,
        parameters: Mapping[str, str] | None = None, *, sdk: str = "",
    ) -> Webhook:  # fmt: skip
        """Keep a new webhook with a token and a secret of its own."""
        token, secret = secrets.token_hex(TOKEN_BYTES), secrets.token_hex(TOKEN_BYTES)
        document = {
            "_id": "", "name": name, "user": user, "token": token, "node": node, "topology": topology,
            "application": application, "webhookId": "", "unsubscribeFailed": False, "deleted": False,
            "parameters": dict(parameters or {}),
            _SECRET: self._keyring.seal(secret.encode(), _PLACE, token),
        }  # fmt: skip
        await self._documents.save(Collection.WEBHOOKS, document | ({"sdk": sdk} if sdk else {}))
        made = (await self._called((token,), users=[user], apps=[application])).get(token)
        if made is None:
            raise DocumentsAway("did not keep a new webhook")
        return made

    async def subscribed(self, webhook: Webhook, remote_id: str) -> None:
        """Note what the service calls it."""
        await self._documents.save(Collection.WEBHOOKS, {"_id": webhook.id, "webhookId": remote_id})

    async def unsubscribe_failed(self, webhook: Webhook) -> None:
        """Note that the service did not let go of it."""
        await self._documents.save(Collection.WEBHOOKS, {"_id": webhook.id, "unsubscribeFailed": True})

    async def remove(self, webhook: Webhook) -> None:
        """Forget it. The starting point goes on taking calls unless the service lets go of it."""
        await self._documents.delete(Collection.WEBHOOKS, [webhook.id])

    async def list(self, **only: str) -> Sequence[Webhook]:
        """Return webhooks, oldest first; `only` may name columns, such as user, application or node."""
        wanted = {name: value for name, value in only.items() if value}
        asked = {_ASKED[name]: [value] for name, value in wanted.items() if name in _ASKED}
        found = map(_webhook, await self._documents.find(Collection.WEBHOOKS, asked, is_fresh=True))
        fitting = (one for one in found if all(getattr(one, name) == value for name, value in wanted.items()))
        return sorted(fitting, key=lambda one: one.id)

    async def ids(self, **only: str) -> Sequence[str]:
        """Return the ids of webhooks as `list` does."""
        return [webhook.id for webhook in await self.list(**only)]

    async def called(self, tokens: Iterable[str]) -> Mapping[str, Webhook]:
        """Return webhooks by their tokens. worker-api looks for none, so all are read, once a second at most."""
        return await self._called(tokens)

    async def _called(self, tokens: Iterable[str], **asked: Sequence[str]) -> Mapping[str, Webhook]:
        documents = await self._documents.find(Collection.WEBHOOKS, asked)
        found = {one["token"]: one for one in documents if isinstance(one.get("token"), str)}
        return {token: _webhook(found[token]) for token in tokens if token in found}

    def secrets(self, webhook: Webhook) -> WebhookSecrets:
        """Return its token and secret, opened; one that another service has made has no secret.

        Raises `SecretsError`.
        """
        token, sealed = json.loads(webhook.sealed_token)
        return WebhookSecrets(token, self._keyring.open(sealed, _PLACE, token).decode() if sealed else "")

    async def rotate(self, webhook_id: str) -> bool:
        """Seal what an older key sealed with the newest; False when there was nothing to do. Raises `SecretsError`."""
        found = next((one for one in await self.list() if one.id == webhook_id), None)
        token, sealed = json.loads(found.sealed_token) if found else ("", "")
        if not sealed or self._keyring.is_newest(sealed):
            return False
        anew = self._keyring.seal(self._keyring.open(sealed, _PLACE, token), _PLACE, token)
        await self._documents.save(Collection.WEBHOOKS, {"_id": webhook_id, _SECRET: anew})
        return True


def _webhook(document: Document) -> Webhook:
    parameters = document.get("parameters")
    texts = {name: str(document.get(name) or "") for name in ("user", "application", "name", "topology", "node", "sdk")}
    return Webhook(
        id=document["_id"],
        parameters=as_text(parameters if isinstance(parameters, dict) else {}),
        sealed_token=json.dumps([str(document.get(name) or "") for name in ("token", _SECRET)]),
        remote_id=str(document.get("webhookId") or ""),
        is_unsubscribe_failed=document.get("unsubscribeFailed") is True,
        created=0,
        **texts,
    )
