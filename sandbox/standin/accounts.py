"""From a managed resource's provider configuration to a session in an AWS account."""

from __future__ import annotations

import base64
import configparser
import os
import time
from typing import Any

import boto3

from sandbox.standin.kinds import PROVIDER_CONFIGS
from sandbox.standin.kube import Cluster, Object

_SESSION_SECONDS = 900


class ConfigurationError(ValueError):
    """The provider configuration is missing or cannot be used."""


class Accounts:
    """Sessions by provider configuration; roles are assumed again before they expire or when the object changes."""

    def __init__(self, cluster: Cluster, endpoint: str | None) -> None:
        self._cluster = cluster
        self._endpoint = endpoint
        self._sessions: dict[str, tuple[str, float, Any]] = {}

    def client(self, item: Object, namespaced: bool, service: str, region: str) -> Any:
        """A client for `service` in the resource's account. Raises ConfigurationError and botocore's errors."""
        reference = item["spec"].get("providerConfigRef") or {}
        kind = reference.get("kind") or ("ClusterProviderConfig" if namespaced else "ProviderConfig")
        name = reference.get("name", "default")
        config_kind = PROVIDER_CONFIGS.get((namespaced, kind))
        if config_kind is None:
            raise ConfigurationError(f"cannot get referenced ProviderConfig: unknown kind {kind}")
        path = config_kind.path(item["metadata"].get("namespace"), name)
        config = self._cluster.get(path)
        if config is None:
            raise ConfigurationError(f'cannot get referenced ProviderConfig: {kind} "{name}" not found')
        version = config["metadata"].get("resourceVersion", "")
        known = self._sessions.get(path)
        if known is None or known[0] != version or known[1] < time.monotonic():
            session = self._open(config["spec"], item["metadata"].get("namespace"))
            known = (version, time.monotonic() + _SESSION_SECONDS / 2, session)
            self._sessions[path] = known
        return known[2].client(service, region_name=region, endpoint_url=self._endpoint)

    def forget(self) -> None:
        """Drops all sessions, as after an error that an expired one may have caused."""
        self._sessions.clear()

    def _open(self, spec: Object, namespace: str | None) -> Any:
        credentials = spec.get("credentials", {})
        session: Any
        if credentials.get("source") == "Secret":
            session = boto3.Session(*self._from_secret(credentials.get("secretRef", {}), namespace))
        else:
            key = os.environ.get("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7STANDIN")
            session = boto3.Session(key, os.environ.get("AWS_SECRET_ACCESS_KEY", "sandbox"))
        for role in spec.get("assumeRoleChain") or []:
            sts = session.client("sts", region_name="us-east-1", endpoint_url=self._endpoint)
            external = {"ExternalId": role["externalID"]} if role.get("externalID") else {}
            given = sts.assume_role(
                RoleArn=role["roleARN"],
                RoleSessionName="provider-aws-standin",
                DurationSeconds=_SESSION_SECONDS,
                **external,
            )["Credentials"]
            session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return session

    def _from_secret(self, reference: Object, namespace: str | None) -> tuple[str, str]:
        place = f"/api/v1/namespaces/{reference.get('namespace') or namespace}/secrets/{reference.get('name')}"
        secret = self._cluster.get(place)
        if secret is None or reference.get("key") not in secret.get("data", {}):
            raise ConfigurationError(f"cannot get credentials: no key {reference.get('key')} in {place}")
        parser = configparser.ConfigParser()
        parser.read_string(base64.b64decode(secret["data"][reference["key"]]).decode())
        profile = parser["default"]
        return profile["aws_access_key_id"], profile["aws_secret_access_key"]
