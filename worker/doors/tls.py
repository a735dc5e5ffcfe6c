"""TLS by files: the certificate of the server, and whose clients may connect."""

import ssl
from pathlib import Path

from worker.errors import StartupError


def server_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    """Return the context of a server; None without a certificate. With `client_ca` clients need one of their own.

    Raises `StartupError` that names the setting and the file.
    """
    if certificate is None:
        if key is not None or client_ca is not None:
            raise StartupError("WORKER_TLS_KEY and WORKER_TLS_CLIENT_CA need a certificate: set WORKER_TLS_CERTIFICATE")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = f"{certificate}{f' and {key}' if key else ''}"
        raise StartupError(f"WORKER_TLS_CERTIFICATE, WORKER_TLS_KEY: {files}: {_text(error)}") from None
    if client_ca is not None:
        _require_clients(context, client_ca)
    return context


def _require_clients(context: ssl.SSLContext, client_ca: Path) -> None:
    try:
        context.load_verify_locations(client_ca)
    except (OSError, ValueError) as error:
        raise StartupError(f"WORKER_TLS_CLIENT_CA: {client_ca}: {_text(error)}") from None
    context.verify_mode = ssl.CERT_REQUIRED


def _no_password() -> str:
    """Nobody is there to type it."""
    raise ValueError("the key has a password: take one without")


def _text(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "not the PEM files of a certificate and its key"
    return str(getattr(error, "strerror", None) or error)
