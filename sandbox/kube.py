"""Two ways to the sandbox's API server: `kubectl` for people's manifests, a small REST client for loops.

The REST client speaks JSON over one kept-alive connection with the standard library only. It knows
no watches and no caches: the product's own transport is `stateward.runtime`, which the sandbox must
not depend on.
"""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sandbox.errors import SandboxError
from sandbox.ports import LOOPBACK
from sandbox.probes import tls_context
from sandbox.site import Site

Object = dict[str, Any]
_NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class KubeError(SandboxError):
    """The API server refused a request; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kubectl:
    """Runs the pinned kubectl as the sandbox's administrator."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """The standard output of `kubectl ARGUMENTS`. Raises SandboxError with what kubectl said."""
        done = self.attempt(*arguments, stdin=stdin, timeout=timeout)
        if done.returncode != 0:
            raise SandboxError(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def attempt(
        self, *arguments: str, stdin: str | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """The same without raising: for calls that are expected to be refused."""
        command = [str(self._site.programs["kubectl"]), f"--kubeconfig={self._site.kubeconfig()}", *arguments]
        # A cache of its own: discovery of a sandbox that was deleted must not linger under the same port.
        environment = self._site.base_environment() | {"KUBECACHEDIR": str(self._site.data("kubectl"))}
        try:
            return subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=timeout, env=environment, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise SandboxError(f"kubectl {' '.join(arguments)} gave no answer within {timeout:.0f} s") from error


class Client:
    """A REST client as one of the sandbox's users. Not safe to share between threads."""

    def __init__(self, site: Site, user: str) -> None:
        context = tls_context(site.authority("cluster"), site.pair("cluster", f"user-{user}"))
        self._connection = http.client.HTTPSConnection(
            LOOPBACK, site.ports["kube-apiserver"], timeout=60, context=context
        )
        self._user = user

    def get(self, path: str, accept: str = "application/json") -> Object:
        return self._call("GET", path, {"Accept": accept})

    def names(self, path: str) -> list[str]:
        """The names in a list, without having the API server encode the objects."""
        listed = self.get(path, _NAMES_ONLY)
        return [item["metadata"]["name"] for item in listed["items"] or ()]

    def served(self) -> dict[str, str]:
        """Every resource of every group that the API server serves: `plural.group` to the path of its list."""
        groups = self.get("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")["items"]
        return {
            f"{resource['resource']}.{name}": f"/apis/{name}/{version['version']}/{resource['resource']}"
            for group in groups
            for name in [group["metadata"]["name"]]
            for version in group["versions"]
            for resource in version.get("resources", ())
        }

    def open_storage(self, path: str) -> None:
        """Ask for a list once, so that the API server opens the kind's storage.

        The first request for a kind of an API server is answered with "too many requests, come back
        in a second" while its cache fills; whoever asks next need not wait.
        """
        try:
            self.get(f"{path}?limit=1", _NAMES_ONLY)
        except KubeError as error:
            if error.status != 429:
                raise

    def apply(self, content: Object, path: str | None = None) -> Object:
        """Server-side apply of an object, or at `path` of a subresource of it."""
        query = urlencode({"fieldManager": self._user, "force": "true"})
        headers = {"Content-Type": "application/apply-patch+yaml"}
        return self._call("PATCH", f"{path or object_path(content)}?{query}", headers, content)

    def annotate(self, path: str, annotations: Mapping[str, str]) -> Object:
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._call("PATCH", path, headers, {"metadata": {"annotations": dict(annotations)}})

    def _call(
        self, method: str, path: str, headers: Mapping[str, str], content: Mapping[str, Any] | None = None
    ) -> Object:
        body = json.dumps(content) if content is not None else None
        try:
            self._connection.request(method, path, body, {"Accept": "application/json", **headers})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next call opens a new one
            raise KubeError(0, f"{method} {path}: {error}") from error
        try:
            loaded: Object = json.loads(answer)
        except ValueError as error:
            raise KubeError(response.status, f"{method} {path}: {answer[:200]!r}") from error
        if response.status >= 400:
            raise KubeError(response.status, f"{method} {path}: {loaded.get('message', response.status)}")
        return loaded


def object_path(content: Object) -> str:
    """Where an object lives. The plural is the kind with an `s`, which holds for every kind the sandbox applies."""
    version, metadata = content["apiVersion"], content["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{namespace}/{content['kind'].lower()}s/{metadata['name']}"
