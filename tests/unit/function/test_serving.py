"""The process: serving with mutual TLS and without, stopping, refusing to start with a message."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stateward_functions import function, main
from tests.unit.function.requests import AWS_PLAN, Request

METHOD = "/apiextensions.fn.proto.v1.FunctionRunnerService/RunFunction"
ENVIRONMENT = {"PYTHONPATH": ":".join(sys.path)}


@contextmanager
def _serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "stateward_functions", "--address", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stderr is not None
            line = json.loads(process.stderr.readline())
            assert line["message"] == "serving"
            yield process, line["port"]
        finally:
            process.kill()


def _call(channel: grpc.Channel) -> bytes:
    with channel:
        request = Request().claim().plan(AWS_PLAN).message.SerializeToString()
        answer: bytes = channel.unary_unary(METHOD)(request, timeout=10, wait_for_ready=True)
    return answer


def _expected() -> bytes:
    return function.serialize(function.respond(Request().claim().plan(AWS_PLAN).message))


def test_it_answers_without_tls_when_told_so_and_stops_when_asked() -> None:
    with _serving("--insecure") as (process, port):
        assert _call(grpc.insecure_channel(f"127.0.0.1:{port}")) == _expected()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_every_call_is_answered_in_full_or_refused_while_it_stops() -> None:
    with _serving("--insecure") as (process, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = Request().claim().plan(AWS_PLAN).message.SerializeToString()
        call = channel.unary_unary(METHOD)
        call(request, timeout=10, wait_for_ready=True)
        calls = [call.future(request, timeout=10) for _ in range(50)]
        calls[0].result()
        process.send_signal(signal.SIGINT)
        answered = [future.result() for future in calls if future.code() == grpc.StatusCode.OK]
        refused = {future.code() for future in calls} - {grpc.StatusCode.OK}
        assert set(answered) == {_expected()}
        assert refused <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert process.wait(10) == 0


def test_it_answers_only_those_with_a_certificate(tmp_path: Path) -> None:
    authority = _Authority()
    authority.write(tmp_path, "server")
    with _serving("--tls-certs-dir", str(tmp_path)) as (_, port):
        target = f"127.0.0.1:{port}"
        key, certificate = authority.issue("client")
        known = grpc.ssl_channel_credentials(authority.pem, key, certificate)
        assert _call(grpc.secure_channel(target, known)) == _expected()
        for credentials in (None, _Authority().issue("stranger")):
            stranger = grpc.ssl_channel_credentials(authority.pem, *(credentials or ()))
            with grpc.secure_channel(target, stranger) as channel, pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(METHOD)(b"", timeout=3)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_bytes_that_are_no_request_are_refused_and_do_not_stop_it() -> None:
    with _serving("--insecure") as (_, port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(METHOD)(b"\xff\xff\xff", timeout=10, wait_for_ready=True)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert _call(grpc.insecure_channel(f"127.0.0.1:{port}")) == _expected()


def test_an_answer_of_a_large_request_fits(tmp_path: Path) -> None:
    request = Request().claim(labels={"x": "y"}).plan(AWS_PLAN)
    request.message.observed.composite.resource["spec"]["filler"] = "x" * (6 * 1024 * 1024)
    with _serving("--insecure") as (_, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = channel.unary_unary(METHOD)(request.message.SerializeToString(), timeout=20, wait_for_ready=True)
    assert len(fnv1.RunFunctionResponse.FromString(answer).desired.resources) == 4


def test_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--address", "127.0.0.1:0", "--tls-certs-dir", str(tmp_path)]) == 1
    assert f"cannot read {tmp_path}/tls.crt" in capsys.readouterr().err


def test_it_does_not_serve_without_tls_by_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TLS_SERVER_CERTS_DIR", raising=False)
    assert main.run([]) == 2
    assert "--tls-certs-dir" in capsys.readouterr().err


def test_a_taken_address_is_said() -> None:
    with _serving("--insecure") as (_, port):
        command = [sys.executable, "-m", "stateward_functions", "--insecure", "--address", f"127.0.0.1:{port}"]
        second = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)
    assert second.returncode == 1
    assert "cannot listen on" in second.stderr
    assert "Traceback" not in second.stderr


class _Authority:
    """A certificate authority for one test."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _certificate("authority", self._key.public_key(), "authority", self._key, authority=True)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Key and certificate of a party, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key.public_key(), "authority", self._key)
        return (
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate.public_bytes(serialization.Encoding.PEM),
        )

    def write(self, directory: Path, name: str) -> None:
        """A party's files as Crossplane lays them out."""
        key, certificate = self.issue(name)
        for file, content in (("tls.key", key), ("tls.crt", certificate), ("ca.crt", self.pem)):
            (directory / file).write_bytes(content)


def _certificate(
    name: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
