"""The sandbox's own certificates: three authorities, and what they sign.

Invariants:
- Three authorities, so that a key that one part may read opens nothing else: `etcd` (the store),
  `cluster` (the API server and its clients) and `crossplane` (functions and webhooks; its key is
  also stored in the cluster, as Crossplane does everywhere).
- Private keys are written with mode 0600. Existing files are kept while their certificate stays
  valid for another week, so a restart over the same state keeps its trust.
Nothing here is meant for more than a local machine.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=365)
_RENEW_BEFORE = datetime.timedelta(days=7)
_CURVE = ec.SECP256R1()
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class KeyPair:
    """Paths of a PEM certificate and its private key."""

    certificate: Path
    key: Path

    def exists(self, now: datetime.datetime) -> bool:
        """Whether both files are there and the certificate stays valid for a while."""
        if not (self.certificate.is_file() and self.key.is_file()):
            return False
        loaded = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return loaded.not_valid_after_utc - _RENEW_BEFORE > now


class Authority:
    """A certificate authority below one directory: `ca.crt`, `ca.key` and the pairs it signed.

    Its key is RSA in PKCS #1 form when `rsa_key` is set, as Crossplane reads its root authority, else elliptic.
    """

    def __init__(self, directory: Path, name: str, now: datetime.datetime, *, rsa_key: bool = False) -> None:
        self.directory = directory
        self.pair = KeyPair(directory / "ca.crt", directory / "ca.key")
        self._now = now
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.pair.exists(now):
            self._create(name, rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(_CURVE))

    def issue(
        self, name: str, *, organization: str = "", hosts: tuple[str, ...] = (), directory: Path | None = None
    ) -> KeyPair:
        """A certificate for `name`: for a server when it has `hosts` (names or addresses), else for a client.

        Written as `tls.crt` and `tls.key` beside a copy of `ca.crt`, in a directory of its own.
        """
        home = directory if directory is not None else self.directory / name
        pair = KeyPair(home / "tls.crt", home / "tls.key")
        authority = home / "ca.crt"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        trusted = self.pair.certificate.read_bytes()
        if pair.exists(self._now) and authority.is_file() and authority.read_bytes() == trusted:
            return pair
        key = ec.generate_private_key(_CURVE)
        ca_key = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
        ca = x509.load_pem_x509_certificate(trusted)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            self._builder(_subject(name, organization), ca.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # Servers of this sandbox also call each other (etcd's peers), so a server may be a client.
            .add_extension(
                x509.ExtendedKeyUsage([usage, ExtendedKeyUsageOID.CLIENT_AUTH] if hosts else [usage]), critical=False
            )
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise TypeError(f"{self.pair.key} holds neither an elliptic-curve nor an RSA key")
        _write(pair.certificate, builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)
        _write(pair.key, _pem(key), 0o600)
        _write(authority, trusted, 0o644)
        return pair

    def _create(self, name: str, key: _Key) -> None:
        subject = _subject(name, "")
        certificate = (
            self._builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(key, hashes.SHA256())
        )
        _write(self.pair.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(self.pair.key, _pem(key), 0o600)

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(minutes=5))
            .not_valid_after(self._now + _LIFETIME)
        )


def signing_key(directory: Path) -> KeyPair:
    """The key pair that signs service account tokens: `sa.pub` (a public key, not a certificate) and `sa.key`."""
    pair = KeyPair(directory / "sa.pub", directory / "sa.key")
    if not (pair.certificate.is_file() and pair.key.is_file()):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(_CURVE)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write(pair.certificate, public, 0o644)
        _write(pair.key, _pem(key), 0o600)
    return pair


def _subject(name: str, organization: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: _Key) -> bytes:
    # For RSA this is PKCS #1, which is what Crossplane parses; for elliptic curves it is SEC 1.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
