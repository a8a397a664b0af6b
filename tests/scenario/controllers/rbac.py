"""What the controller may do in the cluster: the tests run it with exactly these rules."""

from __future__ import annotations

from typing import Any

RULES: list[dict[str, Any]] = [
    {
        "apiGroups": ["day2.stateward.dev"],
        "resources": [
            "backends",
            "backuppolicies",
            "holds",
            "serviceinstances",
            "backups",
            "retentionplans",
            "fleetreports",
        ],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["day2.stateward.dev"],
        "resources": [
            "backends/status",
            "backuppolicies/status",
            "holds/status",
            "serviceinstances/status",
            "backups/status",
            "retentionplans/status",
            "fleetreports/status",
        ],
        "verbs": ["patch"],
    },
    # Discovered ServiceInstances: applied, and removed when a claim takes over.
    {
        "apiGroups": ["day2.stateward.dev"],
        "resources": ["serviceinstances"],
        "verbs": ["create", "patch", "delete"],
    },
    # Scheduled Backups.
    {"apiGroups": ["day2.stateward.dev"], "resources": ["backups"], "verbs": ["create", "delete"]},
    # Credentials of PostgreSQL Backends, one by one; never listed.
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch"]},
]
