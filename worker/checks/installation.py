"""Checks of the platform's installation that the worker belongs to: where its services are, and whether they answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import httpx

from applications.errors import ApplicationError, SecretsError
from worker.checks.finding import Finding, failed, ok, warning
from worker.settings.installation import Derived
from worker.settings.settings import Settings
from worker.urls import shown_url

ANSWER_SECONDS: Final = 5


async def check_installation(settings: Settings) -> AsyncIterator[Finding]:
    """Yield how the services of the installation stand; without one only what is named and used all the same."""
    is_ours = settings.tenant_id is not None or settings.crypt_secret is not None
    for derived in settings.derived():
        if derived.service == "backend" or (is_ours and derived.service == "starting-point"):
            yield await _check_answer(derived)
    if is_ours and settings.api_host:
        yield await _check_documents(settings)
    if settings.figures_address is not None:
        yield await _check_figures(settings.figures_address)


async def _check_figures(url: str) -> Finding:
    """Reach the MongoDB of the figures; messages go on without it."""
    from pymongo.errors import PyMongoError  # noqa: PLC0415 - who has no installation need not wait for it

    from worker.trash.collections import client_of  # noqa: PLC0415 - as above

    try:
        async with asyncio.timeout(ANSWER_SECONDS), client_of(url) as client:
            await client.admin.command("ping")
    except (PyMongoError, TimeoutError) as error:
        told = f"{shown_url(url)} does not answer: {type(error).__name__}"
        return warning("figures", told, "Start it, or correct METRICS_DSN: the admin has no figures of the nodes.")
    return ok("figures", f"{shown_url(url)} answers")


async def _check_answer(derived: Derived) -> Finding:
    url = derived.url if "://" in derived.url else f"http://{derived.url}"
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        told = f"{shown_url(url)} ({derived.source}) does not answer: {type(error).__name__}"
        return failed(derived.service, told, _CURE)
    return ok(derived.service, f"{shown_url(url)} ({derived.source}) answers")


async def _check_documents(settings: Settings) -> Finding:
    """Read an install as a message would, and open it."""
    from worker.documents.cipher import PlatformCipher  # noqa: PLC0415 - who has no installation need not wait for it
    from worker.documents.client import Collection, DocumentClient  # noqa: PLC0415 - as above

    (derived,) = [one for one in settings.derived() if one.service == "worker-api"]
    where = f"{shown_url(settings.worker_api_url)} ({derived.source})"
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
