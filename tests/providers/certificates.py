"""Certificates for real TLS servers."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_HOUR = datetime.timedelta(hours=1)
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """Issues certificates; `file` is what has to be trusted for them."""

    file: Path
    key: Key
    name: x509.Name

    @classmethod
    def made(cls, directory: Path, name: str = "authority") -> Authority:
        key, subject = ec.generate_private_key(ec.SECP256R1()), _name(name)
        basics = x509.BasicConstraints(ca=True, path_length=None)
        certificate = _signed(subject, subject, key, key, basics, _now() + _HOUR)
        file = directory / f"{name}.pem"
        file.write_bytes(certificate)
        return cls(file, key, subject)

    def as_server(self) -> ssl.SSLContext:
        """Return the context of a server that shows the authority itself, which is signed by its own key."""
        return _context(self.file.with_name("itself.pem"), self.key, self.file.read_bytes())

    def server(self, host: str, *, expired: bool = False) -> ssl.SSLContext:
        """Return the context of a server that shows a certificate for `host`, a name or an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([_general_name(host)])
        until = _now() - _HOUR if expired else _now() + _HOUR
        certificate = _signed(_name("server"), self.name, key, self.key, alternative, until)
        return _context(self.file.with_name(f"{host}-{expired}.pem"), key, certificate)


def _context(file: Path, key: Key, certificate: bytes) -> ssl.SSLContext:
    kind, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, no_password) + certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def _signed(
    subject: x509.Name, issuer: x509.Name, key: Key, signer: Key, more: x509.ExtensionType, until: datetime.datetime
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 3 * _HOUR)
        .not_valid_after(until)
        .add_extension(more, critical=isinstance(more, x509.BasicConstraints))
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
