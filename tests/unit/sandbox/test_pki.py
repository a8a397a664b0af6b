"""Certificates: who trusts whom, what is kept over a restart, and who can read the keys."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox import pki
from sandbox.pki import Authority, KeyPair

NOW = datetime.now(UTC)


def handshake(server: KeyPair, client: KeyPair, trusted: Path) -> None:
    """A mutual TLS handshake over a socket pair; raises ssl.SSLError when either side refuses."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server.certificate, server.key)
    serving.load_verify_locations(trusted)
    serving.verify_mode = ssl.CERT_REQUIRED
    calling = ssl.create_default_context(cafile=str(trusted))
    calling.load_cert_chain(client.certificate, client.key)
    left, right = socket.socketpair()
    refused: list[Exception] = []

    def serve() -> None:
        try:
            with serving.wrap_socket(left, server_side=True) as accepted:
                accepted.sendall(b"x")
        except OSError as error:
            refused.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with calling.wrap_socket(right, server_hostname="127.0.0.1") as connection:
            assert connection.recv(1) == b"x" or refused
    finally:
        thread.join()
    if refused:
        raise refused[0]


def test_server_and_client_of_one_authority_trust_each_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca", NOW)
    handshake(authority.issue("server", hosts=("127.0.0.1",)), authority.issue("client"), authority.pair.certificate)


def test_a_client_of_another_authority_is_refused(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "a", "a", NOW), Authority(tmp_path / "b", "b", NOW)
    with pytest.raises(ssl.SSLError):
        handshake(ours.issue("server", hosts=("127.0.0.1",)), theirs.issue("client"), ours.pair.certificate)


def test_a_restart_keeps_authority_and_certificates(tmp_path: Path) -> None:
    first = Authority(tmp_path, "ca", NOW).issue("client").certificate.read_bytes()
    again = Authority(tmp_path, "ca", NOW + timedelta(days=30)).issue("client").certificate.read_bytes()
    assert again == first


def test_what_is_about_to_expire_is_issued_anew(tmp_path: Path) -> None:
    first = Authority(tmp_path, "ca", NOW).issue("client").certificate.read_bytes()
    again = Authority(tmp_path, "ca", NOW + timedelta(days=360)).issue("client").certificate.read_bytes()
    assert again != first


def test_a_new_authority_replaces_what_the_old_one_signed(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca", NOW)
    first = authority.issue("client").certificate.read_bytes()
    authority.pair.key.unlink()
    again = Authority(tmp_path, "ca", NOW)
    pair = again.issue("client")
    assert pair.certificate.read_bytes() != first
    assert (pair.certificate.parent / "ca.crt").read_bytes() == again.pair.certificate.read_bytes()


def test_only_the_owner_reads_private_keys(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", "ca", NOW)
    for key in (authority.pair.key, authority.issue("client").key, pki.signing_key(tmp_path / "sa").key):
        assert oct(key.stat().st_mode & 0o777) == "0o600"


def test_crossplane_reads_an_rsa_key_in_its_old_form(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca", NOW, rsa_key=True)
    assert authority.pair.key.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
    loaded = serialization.load_pem_private_key(authority.pair.key.read_bytes(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    handshake(authority.issue("server", hosts=("127.0.0.1",)), authority.issue("client"), authority.pair.certificate)


def test_names_and_addresses_become_what_they_are(tmp_path: Path) -> None:
    pair = Authority(tmp_path, "ca", NOW).issue("server", hosts=("127.0.0.1", "localhost"), organization="team")
    loaded = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert loaded.subject.rfc4514_string() == "O=team,CN=server"
