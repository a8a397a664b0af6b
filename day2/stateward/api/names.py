"""Names of the contract: groups, labels, annotations, tags and finalizers.

The composition function writes them and the controller reads them, so they live here once. Nothing in this module
imports anything.
"""

from __future__ import annotations

from typing import Final

DAY2_GROUP: Final = "day2.stateward.dev"
DAY2_VERSION: Final = "v1alpha1"
DAY2_API_VERSION: Final = f"{DAY2_GROUP}/{DAY2_VERSION}"
PLATFORM_GROUP: Final = "platform.stateward.dev"
CLAIMS_GROUP: Final = "claims.stateward.dev"
FUNCTIONS_API_VERSION: Final = "functions.stateward.dev/v1alpha1"

FIELD_MANAGER: Final = "stateward-controller"
"""Server-side apply field manager of the controller."""

# Labels of a ServiceInstance, for selectors.
LABEL_ENVIRONMENT: Final = "day2.stateward.dev/environment"
LABEL_PLAN: Final = "day2.stateward.dev/plan"
LABEL_BACKUP_CLASS: Final = "day2.stateward.dev/backup-class"
LABEL_ORIGIN: Final = "day2.stateward.dev/origin"
LABEL_BACKEND: Final = "day2.stateward.dev/backend"
LABEL_POLICY: Final = "day2.stateward.dev/policy"
"""On a Backup: the BackupPolicy whose schedule asked for it."""

# Tags on the backend. They carry identity where names do not.
TAG_MANAGED_BY: Final = "stateward.dev/managed-by"
TAG_CLAIM: Final = "stateward.dev/claim"
"""`<namespace>/<name>` of the claim."""
TAG_ENVIRONMENT: Final = "environment"
TAG_BACKUP: Final = "stateward.dev/backup"
"""On a restore point: `<namespace>/<name>` of the Backup that asked for it."""
TAG_BACKUP_UID: Final = "stateward.dev/backup-uid"
"""On a restore point: uid of the Backup; the idempotency token of the request."""
TAG_HOLD: Final = "stateward.dev/hold"
"""On a database or a restore point: any value holds it."""
TAG_VERIFIED: Final = "stateward.dev/verified-at"
"""On a restore point: when a restore proved it, RFC 3339 in UTC."""
TAG_COPY_OF: Final = "stateward.dev/copy-of"
"""On a copy: ARN of the restore point it was copied from; its lineage."""
TAG_COPY_RULE: Final = "stateward.dev/copy-rule"
"""On a copy: `<policy>/<name of the copy rule>` that asked for it."""
TAG_TAKEN_AT: Final = "stateward.dev/taken-at"
"""On a copy: when its original was taken, RFC 3339 in UTC, for backends that do not tell."""
TAG_LENT_TO: Final = "stateward.dev/lent-to/"
"""On a restore point that is shared while a copy is made: first characters of the key, which the receiving account
completes. The value is when it was last shared, RFC 3339 in UTC."""

ANNOTATION_SKIP_BACKUP: Final = "stateward.dev/change-without-backup"
"""On a claim: digest of the one pending change that may go on without a backup."""

ANNOTATION_AUTOMATED_DAYS: Final = "stateward.dev/automated-backup-days"
"""On a managed resource of somebody's own composition: the days of automated backups that policies have set."""

RESTORE_POINT_PREFIX: Final = "stateward-"
"""First characters of the name of every restore point that Stateward takes."""
