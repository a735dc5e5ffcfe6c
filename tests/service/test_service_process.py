"""A service as a process: its server, its TLS, and what it says of itself."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from connectors.functions import custom_node
from deploy.ports import free_ports
from worker.actions.registry import Registry
from worker.app.serving import ServiceProcess
from worker.errors import StartupError
from worker.settings.settings import load_settings


@custom_node("echo")
def echo(data: Any) -> Any:
    return data


@asynccontextmanager
async def serving(tmp_path: Path, **settings: Any) -> AsyncIterator[str]:
    """Run a service; return its host and port."""
    (port,) = free_ports(1)
    chosen = {"http_host": "127.0.0.1", "http_port": port, "database_url": f"sqlite:///{tmp_path}/database.sqlite"}
    process = ServiceProcess(load_settings(**{**chosen, **settings}), registry=Registry([echo]))
    async with process.answering():
        yield f"127.0.0.1:{port}"


async def test_a_service_answers_beside_its_probes_and_metrics(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with serving(tmp_path) as host, httpx.AsyncClient(base_url=f"http://{host}", trust_env=False) as client:
            called = await client.post("/custom-node/echo/process", json={"body": "[1]"})
            assert called.json()["body"] == "[1]"
            assert (await client.get("/readyz")).json() == {"status": "ok"}
            assert "orchesty_worker_service_calls_total" in (await client.get("/metrics")).text
            assert (await client.post("/custom-node/nobody/process", json={})).status_code == 400
            counted = (await client.get("/metrics")).text
            route = 'method="POST",route="/custom-node/{name}/process"'
            for said in (
                f'orchesty_worker_http_requests_total{{{route},result="answered"}} 1',
                f'orchesty_worker_http_requests_total{{{route},result="refused"}} 1',
                f"orchesty_worker_http_request_duration_seconds_count{{{route}}} 2",
                'orchesty_worker_http_actions_total{kind="custom-node",action="echo",outcome="done"} 1',
                'orchesty_worker_http_action_duration_seconds_count{kind="custom-node",action="echo"} 1',
            ):
                assert said in counted
            assert (await client.head("/connector/list")).content == b""
            assert (await client.options("/connector/list")).headers["allow"] == "GET, HEAD"
            assert (await client.post("/api/process", json={})).status_code == 404
    (line,) = [line for line in logs if line["event"] == "service_started"]
    assert (line["url"], "127.0.0.0/8" in line["callers"]) == (f"http://{host}", True)


async def test_a_secret_path_is_not_logged(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with serving(tmp_path, service_prefix="/s3cr3t"):
            pass
    assert "s3cr3t" not in str(logs)


class Authority:
    """Signs certificates, and writes them to files."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        own = self._built(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _built(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._built(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), key)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        signed = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        certificate, private = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, private


async def test_with_files_of_a_certificate_http_becomes_https(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("server")
    trusting = ssl.create_default_context(cafile=str(authority.file))
    async with serving(tmp_path, tls_certificate=certificate, tls_key=key) as host:
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            assert (await client.get(f"https://{host}/connector/list")).json() == []
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://{host}/connector/list")


async def test_only_clients_with_a_certificate_may_connect_if_so_set(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("server")
    mine, foreign = authority.issue("client"), Authority(tmp_path, "foreign").issue("stranger")
    settings = {"tls_certificate": certificate, "tls_key": key, "tls_client_ca": authority.file}
    async with serving(tmp_path, **settings) as host:
        for pair, is_welcome in ((mine, True), (foreign, False), (None, False)):
            context = ssl.create_default_context(cafile=str(authority.file))
            if pair is not None:
                context.load_cert_chain(*pair)
            async with httpx.AsyncClient(verify=context, trust_env=False) as client:
                if is_welcome:
                    assert (await client.get(f"https://{host}/connector/list")).status_code == 200
                else:
                    with pytest.raises(httpx.TransportError):
                        await client.get(f"https://{host}/connector/list")


async def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    wrong: tuple[tuple[dict[str, Path], str], ...] = (
        ({"tls_certificate": tmp_path / "none.pem"}, r"none\.pem: No such file"),
        ({"tls_certificate": tmp_path / "text.pem"}, r"text\.pem: not the PEM files"),
        ({"tls_client_ca": tmp_path / "text.pem"}, "set WORKER_TLS_CERTIFICATE"),
    )
    for settings, said in wrong:
        with pytest.raises(StartupError, match=said):
            async with serving(tmp_path, **settings):
                pass
