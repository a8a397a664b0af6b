"""One reconcile of a managed resource, step by step as crossplane-runtime v2.4 does it.

Invariants: the external resource is never created without the Create policy, never deleted while another finalizer
is on the object or without the Delete policy, never replaced; the pending annotation is written before a creation and
the external name right after it. The object is written with its resourceVersion, so a conflict means: look again.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.standin.accounts import Accounts, ConfigurationError
from sandbox.standin.external import External, Observed
from sandbox.standin.kinds import Kind
from sandbox.standin.kube import Cluster, Object
from sandbox.standin.references import UnresolvedError, resolve

FINALIZER = "finalizer.managedresource.crossplane.io"
EXTERNAL_NAME = "crossplane.io/external-name"
PAUSED = "crossplane.io/paused"
PENDING, SUCCEEDED, FAILED = (f"crossplane.io/external-create-{word}" for word in ("pending", "succeeded", "failed"))
NOT_THERE = "external resource does not exist"

T = TypeVar("T")

_SUPPORTED = [
    {"*"}, {"Observe", "Create", "Update", "LateInitialize", "Delete"}, {"Observe"}, set(),
    {"Observe", "Create", "Update", "Delete"}, {"Observe", "Create", "Update", "LateInitialize"},
    {"Observe", "Create", "Update"}, {"Observe", "Create", "Delete", "LateInitialize"},
    {"Observe", "Create", "LateInitialize"}, {"Observe", "Create", "Delete"}, {"Observe", "Create"},
    {"Observe", "Delete"}, {"Observe", "Update"}, {"Observe", "LateInitialize"},
    {"Observe", "Update", "LateInitialize"},
]  # fmt: skip


class ReconcileError(Exception):
    """The message of `Synced=False`, and the reason of `Ready` where the step sets it."""

    def __init__(self, message: str, ready: str = "") -> None:
        super().__init__(message)
        self.ready = ready


@dataclass(frozen=True)
class Policies:
    actions: frozenset[str]
    orphan: bool = False

    @classmethod
    def of(cls, item: Object) -> Policies:
        spec = item["spec"]
        return cls(frozenset(spec.get("managementPolicies", ["*"])), spec.get("deletionPolicy") == "Orphan")

    def allow(self, action: str) -> bool:
        if action == "Delete" and self.orphan:
            return "Delete" in self.actions
        return bool({"*", action} & self.actions)


class Reconciler:
    """Reconciles objects of one kind; `connect` makes the external side from an RDS client."""

    def __init__(
        self,
        kind: Kind,
        cluster: Cluster,
        accounts: Accounts,
        connect: Callable[[Any], External],
        now: Callable[[], datetime],
    ) -> None:
        self.kind = kind
        self._cluster = cluster
        self._accounts = accounts
        self._connect = connect
        self._now = now

    def reconcile(self, item: Object) -> bool:
        """One pass; returns whether the object has settled and needs no look until it changes. Raises KubeError."""
        pass_ = _Pass(self, item)
        policies = Policies.of(item)
        if item["metadata"].get("annotations", {}).get(PAUSED) == "true" or not policies.actions:
            pass_.finish(synced=("False", "ReconcilePaused", ""))
            return True
        try:
            return self._steps(pass_, policies)
        except ReconcileError as error:
            if "ExpiredToken" in str(error):
                self._accounts.forget()
            pass_.finish(synced=("False", "ReconcileError", str(error)), ready=error.ready)
            return False

    def _steps(self, this: _Pass, policies: Policies) -> bool:
        if policies.actions not in _SUPPORTED:
            raise ReconcileError(
                f"`spec.managementPolicies` is set to a value({sorted(policies.actions)}) which is not supported. "
                "Check docs for supported policies"
            )
        if this.deleted and not policies.allow("Delete"):
            this.remove_finalizer()
            return True
        external = this.connect()
        this.initialize(external, policies)
        wanted = this.wanted()
        observed = _external("observe failed", lambda: external.observe(this.external_name, wanted))
        if not observed.exists and policies.actions == {"Observe"}:
            raise ReconcileError(f"observe failed: {NOT_THERE}")
        if this.deleted:
            return self._delete(this, external, observed, wanted, policies)
        if not observed.busy:
            this.publish(observed.connection)
        this.add_finalizer()
        if not observed.exists and policies.allow("Create"):
            self._create(this, external, wanted)
            return False
        if observed.busy:
            this.finish(ready="Creating", synced=("True", "ReconcileSuccess", ""))
            return False
        if observed.exists:
            this.at_provider = observed.status
            if policies.allow("LateInitialize"):
                this.late_initialize(observed.late)
        if (not observed.exists or observed.differences or observed.replaces) and policies.allow("Update"):
            self._update(this, external, wanted, observed)
            return False
        this.finish(ready="Available" if observed.exists else "", synced=("True", "ReconcileSuccess", ""))
        return True

    def _create(self, this: _Pass, external: External, wanted: Object) -> None:
        this.annotate({PENDING: self._stamp()})
        try:
            name = _external("create failed", lambda: external.create(this.external_name, wanted))
        except ReconcileError as error:
            this.annotate({FAILED: self._stamp()})
            raise ReconcileError(str(error), "Creating") from error
        this.annotate({SUCCEEDED: self._stamp(), EXTERNAL_NAME: name})
        this.finish(ready="Creating", synced=("True", "ReconcileSuccess", ""))

    def _update(self, this: _Pass, external: External, wanted: Object, observed: Observed) -> None:
        """Terraform would create what it cannot find; upjet refuses, since that changes arguments that force it."""
        reason = observed.replaces or ("" if observed.exists else NOT_THERE)
        ready = "Available" if observed.exists else ""
        if reason:
            raise ReconcileError(
                "update failed: async update failed: refuse to update the external resource because the following "
                f"update requires replacing it: {reason}",
                ready,
            )
        try:
            _external("update failed", lambda: external.update(this.external_name, wanted, observed))
        except ReconcileError as error:
            raise ReconcileError(str(error), ready) from error
        this.finish(ready=ready, synced=("True", "ReconcileSuccess", ""))

    def _delete(self, this: _Pass, external: External, observed: Observed, wanted: Object, policies: Policies) -> bool:
        if len(this.item["metadata"].get("finalizers", [])) > 1:
            return False
        if not observed.exists:
            this.remove_finalizer()
            return True
        if not observed.busy:
            try:
                _external("delete failed", lambda: external.delete(this.external_name, wanted))
            except ReconcileError as error:
                raise ReconcileError(str(error), "Deleting") from error
        this.finish(ready="Deleting", synced=("True", "ReconcileSuccess", ""))
        return False

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


class _Pass:
    """The object of one reconcile and the writes to it."""

    def __init__(self, reconciler: Reconciler, item: Object) -> None:
        self._of = reconciler
        self.item = item
        self.at_provider: Object = item.get("status", {}).get("atProvider", {})

    @property
    def deleted(self) -> bool:
        return "deletionTimestamp" in self.item["metadata"]

    @property
    def external_name(self) -> str:
        return str(self.item["metadata"].get("annotations", {}).get(EXTERNAL_NAME, ""))

    def connect(self) -> External:
        region = self.item["spec"]["forProvider"].get("region", "")
        try:
            rds = self._of._accounts.client(self.item, self._of.kind.namespaced, "rds", region)
        except (ConfigurationError, BotoCoreError, ClientError) as error:
            raise ReconcileError(f"connect failed: {error}") from error
        return self._of._connect(rds)

    def initialize(self, external: External, policies: Policies) -> None:
        """External name, references, Crossplane's own tags, the password; and the check for a lost creation."""
        annotations = self.item["metadata"].get("annotations", {})
        if external.named_after_object and not self.external_name:
            self.annotate({EXTERNAL_NAME: self.item["metadata"]["name"]})
        last = max(annotations.get(SUCCEEDED, ""), annotations.get(FAILED, ""))
        if annotations.get(PENDING, "") > last and not external.named_after_object:
            raise ReconcileError(
                f"cannot determine creation result - remove the {PENDING} annotation if it is safe to proceed",
                "Creating",
            )
        if self.deleted or policies.actions == {"Observe"}:
            return
        for_provider = self.item["spec"]["forProvider"]
        reference = self.item["spec"].get("providerConfigRef", {})
        own = {
            "crossplane-kind": f"{self._of.kind.name.lower()}.{self._of.kind.group}",
            "crossplane-name": self.item["metadata"]["name"],
            "crossplane-providerconfig": reference.get("name", "default"),
        }
        changes: Object = {}
        if any(for_provider.get("tags", {}).get(key) != value for key, value in own.items()):
            changes["tags"] = own
        try:
            changes |= resolve(self._of._cluster, self._of.kind, self.item, EXTERNAL_NAME)
        except UnresolvedError as error:
            raise ReconcileError(f"cannot resolve references: {error}") from error
        if changes:
            self._write({"spec": {"forProvider": changes}})

    def wanted(self) -> Object:
        """forProvider over initProvider, with the password its secret holds (made when it is to be generated)."""
        spec = self.item["spec"]
        wanted: Object = spec.get("initProvider", {}) | spec["forProvider"]
        reference = wanted.get("passwordSecretRef")
        if not reference or wanted.get("manageMasterUserPassword"):
            return wanted
        namespace = reference.get("namespace") or self.item["metadata"].get("namespace")
        path = f"/api/v1/namespaces/{namespace}/secrets"
        secret = self._of._cluster.get(f"{path}/{reference['name']}")
        encoded = (secret or {}).get("data", {}).get(reference["key"])
        if encoded:
            return wanted | {"password": base64.b64decode(encoded).decode()}
        if not wanted.get("autoGeneratePassword") or self.deleted:
            return wanted
        password = secrets.token_urlsafe(20)
        data = {reference["key"]: base64.b64encode(password.encode()).decode()}
        if secret is None:
            metadata = {"name": reference["name"], "ownerReferences": [self._owner()]}
            self._of._cluster.create(path, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
        else:
            self._of._cluster.patch(f"{path}/{reference['name']}", {"data": data})
        return wanted | {"password": password}

    def publish(self, details: dict[str, str]) -> None:
        reference = self.item["spec"].get("writeConnectionSecretToRef")
        if not reference or not details:
            return
        namespace = reference.get("namespace") or self.item["metadata"].get("namespace")
        path = f"/api/v1/namespaces/{namespace}/secrets"
        data = {key: base64.b64encode(value.encode()).decode() for key, value in details.items()}
        present = self._of._cluster.get(f"{path}/{reference['name']}")
        if present is None:
            self._of._cluster.create(
                path,
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "type": "connection.crossplane.io/v1alpha1",
                    "metadata": {"name": reference["name"], "ownerReferences": [self._owner()]},
                    "data": data,
                },
            )
        elif any(present.get("data", {}).get(key) != value for key, value in data.items()):
            self._of._cluster.patch(f"{path}/{reference['name']}", {"data": data})

    def late_initialize(self, late: Object) -> None:
        spec = self.item["spec"]
        known = spec["forProvider"].keys() | spec.get("initProvider", {}).keys()
        if missing := {key: value for key, value in late.items() if key not in known}:
            self._write({"spec": {"forProvider": missing}})

    def annotate(self, annotations: dict[str, str]) -> None:
        self._write({"metadata": {"annotations": annotations}})

    def add_finalizer(self) -> None:
        finalizers = self.item["metadata"].get("finalizers", [])
        if FINALIZER not in finalizers:
            self._write({"metadata": {"finalizers": [*finalizers, FINALIZER]}})

    def remove_finalizer(self) -> None:
        finalizers = self.item["metadata"].get("finalizers", [])
        if FINALIZER in finalizers:
            self._write({"metadata": {"finalizers": [name for name in finalizers if name != FINALIZER]}})

    def finish(self, *, synced: tuple[str, str, str], ready: str = "") -> None:
        """Writes `status` when it changed: `atProvider` and the conditions Synced and, where given, Ready."""
        old = self.item.get("status", {})
        conditions = {condition["type"]: condition for condition in old.get("conditions", [])}
        self._set(conditions, "Synced", *synced)
        if ready:
            self._set(conditions, "Ready", "True" if ready == "Available" else "False", ready, "")
        dropped = {key: None for key in old.get("atProvider", {}) if key not in self.at_provider}
        status = {"atProvider": self.at_provider, "conditions": list(conditions.values())}
        if status != {key: old.get(key, {}) for key in status}:
            status["atProvider"] = self.at_provider | dropped
            self._write({"status": status}, "/status")

    def _set(self, conditions: dict[str, Object], kind: str, status: str, reason: str, message: str) -> None:
        new: Object = {"type": kind, "status": status, "reason": reason}
        if message:
            new["message"] = re.sub(r"\(Request ?ID: [^)]*\)", "", message)
        if generation := self.item["metadata"].get("generation"):
            new["observedGeneration"] = generation
        old = conditions.get(kind, {})
        same = old.get("status") == status and old.get("reason") == reason
        new["lastTransitionTime"] = old["lastTransitionTime"] if same else self._of._stamp()
        conditions[kind] = new

    def _write(self, content: Object, subresource: str = "") -> None:
        version = self.item["metadata"]["resourceVersion"]
        metadata = content.get("metadata", {}) | {"resourceVersion": version}
        path = self._of.kind.path_of(self.item) + subresource
        self.item = self._of._cluster.patch(path, content | {"metadata": metadata})

    def _owner(self) -> Object:
        kind, metadata = self._of.kind, self.item["metadata"]
        return {
            "apiVersion": f"{kind.group}/{kind.version}", "kind": kind.name, "name": metadata["name"],
            "uid": metadata["uid"], "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip


def _external(step: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except (BotoCoreError, ClientError, ValueError) as error:
        raise ReconcileError(f"{step}: {error}") from error
