"""
HTTPS in front of one HTTP server, for tests: a certificate of an authority of its own, and bytes passed on.

    python tests/tls_front.py CERTIFICATE KEY HOST PORT UPSTREAM_HOST UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers import Server

ROOT = Path(__file__).resolve().parents[1]


def make_certificates(folder: Path, host: str) -> tuple[Path, Path, Path]:
    """The authority's certificate, the server's for the address *host*, and its key, as files in *folder*."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = dt.datetime.now(dt.UTC)

    def made(name: str, issuer: x509.Name | None, public: object, signer: ec.EllipticCurvePrivateKey, is_ca: bool):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(signer, hashes.SHA256())

    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = made("an authority for a test", None, authority_key.public_key(), authority_key, True)
    server = made(host, authority.subject, server_key.public_key(), authority_key, False)
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / "authority.pem", folder / "server.pem", folder / "server.key")
    files[0].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(server.public_bytes(serialization.Encoding.PEM))
    files[2].write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


class TlsFront(Server):
    """One of these as a process, on *host*, before *upstream* (host and port)."""

    def __init__(self, folder: Path, host: str, upstream: tuple[str, int]) -> None:
        super().__init__(folder)
        self.host = host
        self._upstream = upstream
        self.authority, self._certificate, self._key = make_certificates(folder, host)

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    def command(self) -> list[str]:
        words = [self._certificate, self._key, self.host, self.port, *self._upstream]
        return [sys.executable, "-m", "tests.tls_front", *map(str, words)]

    def cwd(self) -> Path:
        return ROOT


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


async def _serve(certificate: str, key: str, host: str, port: int, upstream: Sequence[str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(upstream[0], int(upstream[1]))
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))

    server = await asyncio.start_server(passed_on, host, port, ssl=context)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:7]))
