"""Condition types and reasons, each with its one-line meaning. The reference docs are generated from this module.

A reason is API: automation matches on it, so it never changes its meaning. Add, do not rename.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ConditionType(StrEnum):
    """Types of conditions and the kinds that carry them."""

    VALID = "Valid"
    """Claim, composite, BackupPolicy, Hold, ServicePlan: the spec can be acted on."""
    PROTECTED = "Protected"
    """Claim, composite, ServiceInstance: a policy matches and a restorable point exists."""
    OBSERVED = "Observed"
    """ServiceInstance: the database was found on its backend."""
    SUPPORTED = "Supported"
    """ServiceInstance: the backend can do what the matching policies ask."""
    REACHABLE = "Reachable"
    """Backend: credentials work and every region was listed completely."""
    ENFORCING = "Enforcing"
    """Backend: what the last retention pass did."""
    ENFORCED = "Enforced"
    """BackupPolicy: what became of its expired restore points."""
    CONFLICTED = "Conflicted"
    """BackupPolicy: an upper bound contradicts what a policy or a floor keeps; the data is kept."""
    COPIED = "Copied"
    """BackupPolicy: every copy that its copy rules ask for exists."""
    COMPLETED = "Completed"
    """Backup: the restore point is usable."""
    BACKED_UP = "BackedUp"
    """ServiceInstance: the newest restorable point is younger than every matching schedule's maxAge."""
    CHANGE_ALLOWED = "ChangeAllowed"
    """Claim, composite, ServiceInstance: the risky change that is asked for may go on."""
    COMPLIANT = "Compliant"
    """ServiceInstance: nothing diverges from what the matching policies ask."""
    AUTOMATED_BACKUPS = "AutomatedBackups"
    """ServiceInstance: the backend keeps automated backups as long as the matching policies ask, no longer."""
    APPLIED = "Applied"
    """RetentionPlan: what became of what it names."""


class Reason(StrEnum):
    """Reasons of all conditions. The text behind each member is its documented meaning."""

    description: str

    def __new__(cls, value: str, description: str) -> Reason:
        """A string member that carries its description."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    ACCEPTED = "Accepted", "The spec was understood and is acted on."
    INVALID_SELECTOR = "InvalidSelector", "The selector can never match, or contradicts itself."
    INVALID_EXPRESSION = "InvalidExpression", "The CEL expression does not compile, or failed on an instance."
    INVALID_SCHEDULE = "InvalidSchedule", "The cron expression or its time zone cannot be used."
    INVALID_RETENTION = "InvalidRetention", "A retention field cannot be used."
    MALFORMED_INPUT = (
        "MalformedInput",
        "The input of the composition's step, or the composite, has not the expected shape.",
    )
    UNKNOWN_PLAN = "UnknownPlan", "No ServicePlan has the name in spec.plan."
    PLAN_LIMIT_EXCEEDED = "PlanLimitExceeded", "The claim asks for more than its plan allows."
    BACKEND_CHANGED = "BackendChanged", "The plan now names another backend than the one that holds the database."
    REGION_CHANGED = "RegionChanged", "The region differs from the one that holds the database."
    UNSUPPORTED = "Unsupported", "The backend, or this release, cannot do what is asked."
    DATABASE_LOST = "DatabaseLost", "The database existed and is gone; it is not created again, for it would be empty."
    POLICY_MATCHES = "PolicyMatches", "At least one policy keeps a restorable point."
    NO_POLICY = "NoPolicy", "No BackupPolicy matches, so nothing is scheduled and nothing is deleted."
    NO_RESTORE_POINT = "NoRestorePoint", "A policy matches, but nothing can be restored yet."
    POLICY_UNUSABLE = "PolicyUnusable", "A policy that may match is invalid; until it is mended nothing is deleted."
    NOT_ENROLLED = "NotEnrolled", "Day-2 care has not looked at the database yet."
    FOUND = "Found", "The database was found on its backend."
    NOT_FOUND = "NotFound", "The backend was listed completely and the database is not there."
    IDENTITY_CHANGED = "IdentityChanged", "Another database now stands behind the identifier."
    UNKNOWN_BACKEND = "UnknownBackend", "No Backend has the name in spec.backendRef."
    BACKEND_UNREACHABLE = (
        "BackendUnreachable",
        "The backend could not be listed; nothing is concluded and nothing deleted.",
    )
    ROLE_REFUSED = "RoleRefused", "The role cannot be assumed."
    WRONG_ACCOUNT = "WrongAccount", "The credentials lead to another account than the Backend names."
    CREDENTIALS_MISSING = "CredentialsMissing", "The credentials Secret is missing or lacks a key."
    INCOMPLETE = "Incomplete", "Some of the backend could not be listed; nothing is deleted there."
    LISTED = "Listed", "Everything was listed."
    AUDIT = "Audit", "The policy is in Audit mode; nothing is deleted on its account."
    NOTHING_DUE = "NothingDue", "No restore point is let go by every matching policy."
    DELETING = "Deleting", "A pass is deleting; a restart resumes it."
    DELETED = "Deleted", "All that was due was deleted and verified to be gone."
    PARTIAL = "Partial", "Some deletes were refused or deferred; the message counts them."
    BLAST_RADIUS = (
        "BlastRadius",
        "The pass would delete more than the limits of a policy or a Backend allow; it was refused as a whole.",
    )
    AWAITING_APPROVAL = "AwaitingApproval", "Restore points are let go and wait for an approved RetentionPlan."
    APPROVED = "Approved", "A RetentionPlan approves what it names; it is being carried out."
    PLAN_EXPIRED = "PlanExpired", "The RetentionPlan is past its validUntil; what is left of it is not deleted."
    APPLIED = "Applied", "Everything that the RetentionPlan names was deleted and verified to be gone."
    CHANGED_SINCE = "ChangedSince", "Something changed since the plan was made; what it concerns was not deleted."
    ACCOUNT_BUSY = (
        "AccountBusy",
        "Another process holds the Lease of the account, or it cannot be taken; nothing is deleted meanwhile.",
    )
    CLOCK_SKEW = "ClockSkew", "Our clock and the backend's differ by more than five minutes; nothing is deleted."
    CONFLICT = "Conflict", "An upper bound contradicts what is kept; the message names who disagrees."
    NO_CONFLICT = "NoConflict", "No upper bound contradicts what is kept."
    POLICY_UNDECIDED = "PolicyUndecided", "Whether a policy matches cannot be told yet; until then nothing is deleted."
    RECENT = "Recent", "The newest restorable point is young enough."
    OVERDUE = "Overdue", "The newest restorable point is older than a matching schedule's maxAge."
    BACKUP_FAILED = "BackupFailed", "The backup before a change failed; the change waits until another one is usable."
    NOT_ASKED = "NotAsked", "No matching policy asks for a backup before changes."
    SKIPPED = "Skipped", "The claim's annotation lets the change go on without a backup."
    NO_CHANGE = "NoChange", "No risky change is asked for."
    NO_SCHEDULE = "NoSchedule", "No matching policy says how old the newest restorable point may be."
    COMPLIANT = "Compliant", "Nothing diverges from what the matching policies ask."
    DIVERGES = "Diverges", "Something diverges from what the matching policies ask; status.divergence lists it."
    RETENTION_AS_ASKED = "RetentionAsAsked", "Automated backups are kept as long as the matching policies ask."
    RETENTION_CHANGING = "RetentionChanging", "Another period of automated backups was asked for and is applied soon."
    RETENTION_DIFFERS = (
        "RetentionDiffers",
        "Automated backups are kept longer or shorter than asked and stay so; the message says why and what to do.",
    )
    RETENTION_FIXED = (
        "RetentionFixed",
        "Automated backups are off, or AWS Backup owns them; that is not for Stateward to change.",
    )
    COPIED = "Copied", "Every copy that the policy asks for exists."
    COPYING = "Copying", "Copies are missing or in progress; nothing is wrong."
    COPY_FAILED = "CopyFailed", "Some restore points cannot be copied; the message says why. The others are."
    INVALID_COPIES = "InvalidCopies", "A copy rule cannot be used; the message names its field."
    CAPABILITIES_MET = "CapabilitiesMet", "The backend can do all that the matching policies ask."
    WAITING = "Waiting", "Work goes on; nothing is wrong."
    REQUESTED = "Requested", "The restore point was asked for and is being made."
    SUCCEEDED = "Succeeded", "The restore point is usable."
    BACKEND_REFUSED = "BackendRefused", "The backend refused the operation; the message says why."
    INSTANCE_NOT_FOUND = "InstanceNotFound", "No ServiceInstance has that name in this namespace."
    DEADLINE_EXCEEDED = "DeadlineExceeded", "It took longer than its deadline."


TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"
