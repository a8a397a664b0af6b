"""What a managed resource is outside the cluster: the contract between the reconciler and the RDS kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.standin.kube import Object


@dataclass
class Observed:
    """One look at the external resource."""

    exists: bool
    busy: bool = False
    """An operation is still running: neither ready nor to be touched."""
    status: Object = field(default_factory=dict)
    """`status.atProvider`."""
    late: Object = field(default_factory=dict)
    """What late initialisation may add to `spec.forProvider`."""
    differences: Object = field(default_factory=dict)
    """What an update would change, by the field of `spec.forProvider`."""
    replaces: str = ""
    """The argument that cannot be changed without replacing the resource, as upjet words it."""
    connection: dict[str, str] = field(default_factory=dict)


class External(Protocol):
    """One kind of RDS resource of one region and account. `wanted` is forProvider over initProvider.

    The methods raise botocore's errors and `ValueError` for what the kind itself refuses.
    """

    named_after_object: bool
    """The external name is the object's name from the start; otherwise AWS gives it at creation."""

    def observe(self, external_name: str, wanted: Object) -> Observed: ...

    def create(self, external_name: str, wanted: Object) -> str:
        """Creates the resource and returns its external name."""

    def update(self, external_name: str, wanted: Object, observed: Observed) -> None: ...

    def delete(self, external_name: str, wanted: Object) -> None: ...


def changed_tags(wanted: Object, actual: list[dict[str, str]]) -> Object:
    """The wanted tags that differ or are missing, and None for those to remove; AWS's own are left alone."""
    have = {tag["Key"]: tag["Value"] for tag in actual if not tag["Key"].startswith("aws:")}
    changes: Object = {key: value for key, value in wanted.items() if have.get(key) != value}
    return changes | {key: None for key in have if key not in wanted}


def as_tags(tags: Object) -> list[dict[str, str]]:
    return [{"Key": key, "Value": str(value)} for key, value in sorted(tags.items())]


def write_tags(rds: Any, arn: str, changes: Object) -> None:
    if added := {key: value for key, value in changes.items() if value is not None}:
        rds.add_tags_to_resource(ResourceName=arn, Tags=as_tags(added))
    if removed := [key for key, value in changes.items() if value is None]:
        rds.remove_tags_from_resource(ResourceName=arn, TagKeys=removed)
