"""A small client for the Kubernetes API: one kept-alive connection per thread, JSON, the standard library only."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import yaml

Object = dict[str, Any]


class KubeError(Exception):
    """The API server refused; `status` is the HTTP status, 0 when it could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cluster(Protocol):
    """What the stand-in needs of an API server."""

    def get(self, path: str) -> Object | None:
        """The object or list at `path`, None when there is none (or its kind is not served)."""

    def create(self, path: str, content: Object) -> Object: ...

    def patch(self, path: str, content: Object) -> Object:
        """JSON merge patch; with a `metadata.resourceVersion` it fails with 409 when the object has changed."""


class RestCluster:
    """The API server of a kubeconfig's current context."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"]).get("user", {})
        address = urlsplit(cluster["server"])
        self._host, self._port, self._tls = address.hostname or "127.0.0.1", address.port, None
        if address.scheme == "https":
            self._tls = ssl.create_default_context()
            with _file(cluster, "certificate-authority", kubeconfig) as authority:
                if authority:
                    self._tls.load_verify_locations(authority)
            with (
                _file(user, "client-certificate", kubeconfig) as certificate,
                _file(user, "client-key", kubeconfig) as key,
            ):
                if certificate and key:
                    self._tls.load_cert_chain(certificate, key)
        self._token = user.get("token")
        self._local = threading.local()

    def get(self, path: str) -> Object | None:
        try:
            return self._call("GET", path, None, "application/json")
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, content: Object) -> Object:
        return self._call("POST", path, content, "application/json")

    def patch(self, path: str, content: Object) -> Object:
        return self._call("PATCH", path, content, "application/merge-patch+json")

    def _call(self, method: str, path: str, content: Object | None, kind: str) -> Object:
        headers = {"Content-Type": kind, "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = None if content is None else json.dumps(content)
        for attempt in (1, 2):
            connection = self._connection()
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                answer = response.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self._local.connection = None
                connection.close()
                if attempt == 2 or method == "POST":
                    raise KubeError(0, f"{method} {path}: {error}") from error
        try:
            loaded: Object = json.loads(answer)
        except ValueError:
            loaded = {"message": answer[:200].decode(errors="replace")}
        if response.status >= 400:
            raise KubeError(response.status, f"{method} {path}: {loaded.get('message', response.status)}")
        return loaded

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            if self._tls:
                connection = http.client.HTTPSConnection(self._host, self._port, timeout=30, context=self._tls)
            else:
                connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
            self._local.connection = connection
        return connection


def _named(config: Object, kind: str, name: str) -> Object:
    found: Object = next(item for item in config[kind] if item["name"] == name)
    return found


@contextmanager
def _file(holder: Object, name: str, kubeconfig: Path) -> Iterator[str | None]:
    """The path of a file that a kubeconfig names or, for as long as the block lasts, holds."""
    if data := holder.get(f"{name}-data"):
        with tempfile.NamedTemporaryFile() as scratch:
            scratch.write(base64.b64decode(data))
            scratch.flush()
            yield scratch.name
    elif path := holder.get(name):
        yield str(kubeconfig.parent / path)
    else:
        yield None
