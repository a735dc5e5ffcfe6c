"""Checks of the platform's installation that the worker belongs to: where its services are, and whether they answer."""

from collections.abc import AsyncIterator
from typing import Final

import httpx

from applications.errors import ApplicationError, SecretsError
from worker.checks.finding import Finding, failed, ok
from worker.settings.installation import Derived
from worker.settings.settings import Settings

ANSWER_SECONDS: Final = 5


async def check_installation(settings: Settings) -> AsyncIterator[Finding]:
    """Yield how the services of the installation stand; nothing without one."""
    if settings.tenant_id is None and settings.crypt_secret is None:
        return
    for derived in settings.derived():
        if derived.service != "worker-api":
            yield await _check_answer(derived)
    if settings.api_host:
        yield await _check_documents(settings)


async def _check_answer(derived: Derived) -> Finding:
    url = derived.url if "://" in derived.url else f"http://{derived.url}"
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return failed(derived.service, f"{url} ({derived.source}) does not answer: {type(error).__name__}", _CURE)
    return ok(derived.service, f"{url} ({derived.source}) answers")


async def _check_documents(settings: Settings) -> Finding:
    """Read an install as a message would, and open it."""
    from worker.documents.cipher import PlatformCipher  # noqa: PLC0415 - who has no installation need not wait for it
    from worker.documents.client import Collection, DocumentClient  # noqa: PLC0415 - as above

    (derived,) = [one for one in settings.derived() if one.service == "worker-api"]
    where = f"{settings.worker_api_url} ({derived.source})"
    client = DocumentClient(settings.worker_api_url, settings.platform_key)
    try:
        found = await client.find(Collection.INSTALLS, {"enabled": True}, paging={"limit": 1})
        sealed = next((one["encryptedSettings"] for one in found if one.get("encryptedSettings")), None)
        if settings.crypt_secret is not None and sealed is not None:
            PlatformCipher(settings.crypt_secret.get_secret_value()).open(sealed, "an install")
    except SecretsError as error:
        return failed("worker-api", f"{where} answers, but {error}", "Set CRYPT_SECRET to the platform's.")
    except ApplicationError as error:
        return failed("worker-api", f"{where}: {error}", f"{_CURE} Set ORCHESTY_API_KEY.")
    finally:
        await client.close()
    keeps = "keeps the installs" if settings.shares_installs else "keeps no installs of ours: CRYPT_SECRET is not set"
    return ok("worker-api", f"{where} answers and {keeps}")


_CURE: Final = "Start it, or correct TENANT_ID or the variable that names its address."
