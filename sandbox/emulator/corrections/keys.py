"""KMS: RDS encrypts with keys that exist, and cannot use one that is not enabled."""

from __future__ import annotations

from typing import Any

from moto.kms.models import KmsBackend, kms_backends
from moto.rds.exceptions import KMSKeyNotAccessibleFault
from moto.rds.models import DBCluster, DBInstance, MasterUserSecret

from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

DEFAULT_KEY = "alias/aws/rds"


def apply(world: World) -> None:
    instances_are_encrypted_with_real_keys()
    clusters_are_encrypted_with_real_keys()
    managed_secret_names_the_key()
    default_keys_belong_to_aws()


def enabled_key(account: str, region: str, key_id: str) -> str:
    """The ARN of the key; raises `KMSKeyNotAccessibleFault` when it does not exist or is not enabled.

    `key_id` is a key id, an alias or the ARN of either, maybe of another account.
    """
    if key_id.startswith("arn:"):
        parts = key_id.split(":")
        if parts[3] != region:
            raise KMSKeyNotAccessibleFault(key_id)
        account = parts[4]
    backend = kms_backends[account][region]
    try:
        key = backend.keys[backend.any_id_to_key_id(key_id)]
    except (KeyError, AttributeError):
        raise KMSKeyNotAccessibleFault(key_id) from None
    if key.key_state != "Enabled":
        raise KMSKeyNotAccessibleFault(key_id)
    return str(key.arn)


def belongs_to_aws(arn: str) -> bool:
    """Whether a key is the default one that AWS made for a service of the account."""
    _, _, _, region, account, path = arn.split(":", 5)
    key = kms_backends[account][region].keys.get(path.removeprefix("key/"))
    return key is not None and key.key_manager == "AWS"


def instances_are_encrypted_with_real_keys() -> None:
    """RDS: `KmsKeyId` is an ARN, `alias/aws/rds` unless given, refused when not enabled. moto: any text."""

    @correct(DBInstance, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, backend: Any, *args: Any, **kwargs: Any) -> None:
            key = kwargs.pop("kms_key_id", None)
            if kwargs.get("storage_encrypted") and not kwargs.get("db_cluster_identifier"):
                kwargs["kms_key_id"] = enabled_key(backend.account_id, backend.region_name, key or DEFAULT_KEY)
            original(self, backend, *args, **kwargs)

        return init


def clusters_are_encrypted_with_real_keys() -> None:
    """RDS: the same for clusters; an unencrypted one has no key. moto: always `default_kms_key_id`."""

    @correct(DBCluster, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, backend: Any, *args: Any, **kwargs: Any) -> None:
            key = kwargs.pop("kms_key_id", None)
            original(self, backend, *args, **kwargs)
            self.kms_key_id = None
            if self.storage_encrypted:
                self.kms_key_id = enabled_key(backend.account_id, backend.region_name, key or DEFAULT_KEY)

        return init


def managed_secret_names_the_key() -> None:
    """RDS: the managed master secret always names its key. moto: fails when none was given."""

    @correct(MasterUserSecret, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, resource: Any, kms_key_id: str | None) -> None:
            original(self, resource, kms_key_id or "alias/aws/secretsmanager")

        return init


def default_keys_belong_to_aws() -> None:
    """KMS: the manager of a service's default key is `AWS`. moto: `CUSTOMER`, as of every key."""

    @correct(KmsBackend, "_generate_default_keys")
    def _(original: Method) -> Method:
        def generate(self: Any, alias_name: str) -> str | None:
            key_id: str | None = original(self, alias_name)
            if key_id is not None:
                self.keys[key_id].key_manager = "AWS"
            return key_id

        return generate
