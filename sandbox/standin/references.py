"""References from an instance to its subnet and parameter group: by name or by selector, resolved once."""

from __future__ import annotations

from sandbox.standin.kinds import PARAMETER_GROUPS, SUBNET_GROUPS, Kind
from sandbox.standin.kube import Cluster, Object

_FIELDS = {"dbSubnetGroupName": SUBNET_GROUPS, "parameterGroupName": PARAMETER_GROUPS}


class UnresolvedError(ValueError):
    """A referenced object is missing or has no external name yet."""


def resolve(cluster: Cluster, kind: Kind, item: Object, external_name: str) -> Object:
    """What resolution adds to `spec.forProvider`. Fields that have a value are left alone. Raises UnresolvedError."""
    spec = item["spec"]["forProvider"]
    found: Object = {}
    for field, kinds in _FIELDS.items() if kind.name == "Instance" else ():
        reference, selector = spec.get(f"{field}Ref"), spec.get(f"{field}Selector")
        if spec.get(field) or not (reference or selector):
            continue
        target = next(other for other in kinds if other.namespaced == kind.namespaced)
        namespace = item["metadata"].get("namespace")
        if reference:
            referenced = cluster.get(target.path(namespace, reference["name"]))
        else:
            referenced = _select(cluster, target, item, selector)
        if referenced is None:
            raise UnresolvedError(f"mg.Spec.ForProvider.{field}: no resources matched the reference or selector")
        name = referenced["metadata"].get("annotations", {}).get(external_name)
        if not name:
            raise UnresolvedError(f"mg.Spec.ForProvider.{field}: referenced field was empty (may not yet be ready)")
        found |= {field: name, f"{field}Ref": {"name": referenced["metadata"]["name"]}}
    return found


def _select(cluster: Cluster, target: Kind, item: Object, selector: Object) -> Object | None:
    for candidate in (cluster.get(target.collection) or {}).get("items", []):
        metadata = candidate["metadata"]
        labels = selector.get("matchLabels") or {}
        if (
            metadata.get("namespace") == item["metadata"].get("namespace")
            and all(metadata.get("labels", {}).get(key) == value for key, value in labels.items())
            and (not selector.get("matchControllerRef") or _controller(candidate) == _controller(item))
        ):
            chosen: Object = candidate
            return chosen
    return None


def _controller(item: Object) -> str | None:
    owners = item["metadata"].get("ownerReferences", [])
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)
