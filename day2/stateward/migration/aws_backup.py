"""AWS Backup: a plan and its selections, as `aws backup get-backup-plan` and `get-backup-selection` print them.

Each rule becomes one BackupPolicy for each selection. What AWS Backup keeps in its vaults stays there: Stateward
neither deletes nor copies recovery points that AWS Backup owns; it takes and keeps snapshots of its own from then on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stateward.migration.draft import Draft, Imported, Note, Unreadable, days, named, object_name, quoted
from stateward.migration.schedules import Unsupported, five_fields

JSON = Mapping[str, Any]
_TAG = "aws:ResourceTag/"
_MINUTE = 60
_LEAST_CONTINUOUS = 35


def read(texts: Sequence[tuple[str, str]]) -> Imported:
    """Import documents, each with the name of its file. Raises `Unreadable`."""
    plans: list[tuple[str, JSON]] = []
    selections: list[tuple[str, JSON]] = []
    for name, text in texts:
        for value in _objects(name, text):
            if "BackupPlan" in value or "Rules" in value:
                plans.append((name, value.get("BackupPlan", value)))
            elif "BackupSelection" in value or "SelectionName" in value:
                selections.append((name, value.get("BackupSelection", value)))
            else:
                raise Unreadable(
                    f"{name}: holds neither a BackupPlan nor a BackupSelection; give it what "
                    "`aws backup get-backup-plan` or `get-backup-selection` prints"
                )
    if not plans:
        raise Unreadable("no file holds a BackupPlan; give it what `aws backup get-backup-plan` prints")
    drafts, notes = [], []
    for name, plan in plans:
        for index, rule in enumerate(plan.get("Rules", ())):
            where = f"{name}: Rules[{index}]"
            drafts += [_draft(where, plan, rule, chosen) for _, chosen in selections or [("", {})]]
    if not selections:
        notes.append(
            Note(
                "BackupSelection",
                "no file holds one, so every policy selects every database; give the "
                "selections as well, or narrow spec.selector by hand",
            )
        )
    return Imported(drafts=named(drafts), notes=tuple(notes))


def _objects(name: str, text: str) -> Iterator[JSON]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"{name}: is no JSON ({error})") from None
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            raise Unreadable(f"{name}: holds {type(each).__name__} where an object was expected")
        yield each


def _draft(where: str, plan: JSON, rule: JSON, selection: JSON) -> Draft:
    notes: list[Note] = []
    spec: dict[str, Any] = {"selector": _selector(selection, notes)}
    schedule = _schedule(where, rule, notes)
    if schedule:
        spec["schedule"] = schedule
    lifecycle = rule.get("Lifecycle") or {}
    keep = lifecycle.get("DeleteAfterDays")
    if "MoveToColdStorageAfterDays" in lifecycle:
        notes.append(Note(f"{where}.Lifecycle.MoveToColdStorageAfterDays", "snapshots of RDS have no cold storage"))
    if keep is None:
        notes.append(Note(f"{where}.Lifecycle", "keeps for ever: the policy gets no retention, so it lets nothing go"))
        spec.setdefault("schedule", {"cron": "0 3 * * *", "suspend": True})
    else:
        spec["retention"] = {"keepWithin": days(keep)}
    if rule.get("EnableContinuousBackup"):
        spec["automatedBackups"] = {"action": "Report", "keepWithin": days(min(_LEAST_CONTINUOUS, keep or 35))}
        notes.append(
            Note(
                f"{where}.EnableContinuousBackup",
                "AWS Backup owns the automated backups of these databases "
                "until they leave the plan; the difference is reported and not set",
            )
        )
    copies = [
        _copy(f"{where}.CopyActions[{n}]", n, action, notes) for n, action in enumerate(rule.get("CopyActions", ()))
    ]
    if any(copies) and "retention" in spec:
        spec["copies"] = [copy for copy in copies if copy]
    notes += [Note(f"{where}.{key}", f"{rule[key]!r} has no counterpart") for key in _UNKNOWN if rule.get(key)]
    return Draft(
        name=object_name(plan.get("BackupPlanName", ""), rule.get("RuleName", ""), selection.get("SelectionName", "")),
        source=f"rule {rule.get('RuleName', '?')} of AWS Backup plan {plan.get('BackupPlanName', '?')}",
        spec=spec,
        notes=tuple(notes),
    )


_UNKNOWN = ("RecoveryPointTags", "IndexActions", "ScanActions", "TargetLogicallyAirGappedBackupVaultArn")


def _schedule(where: str, rule: JSON, notes: list[Note]) -> dict[str, Any]:
    expression = rule.get("ScheduleExpression")
    if not expression:
        return {}
    try:
        schedule: dict[str, Any] = {"cron": five_fields(expression)}
    except Unsupported as unsupported:
        notes.append(Note(f"{where}.ScheduleExpression", f"{unsupported}; the policy has no schedule"))
        return {}
    if expression.startswith("rate("):
        notes.append(
            Note(f"{where}.ScheduleExpression", f"{expression!r} became {schedule['cron']!r}; choose the time")
        )
    schedule["timeZone"] = rule.get("ScheduleExpressionTimezone", "Etc/UTC").replace("Etc/UTC", "UTC")
    window = rule.get("StartWindowMinutes")
    if window:
        schedule["startingDeadline"] = f"PT{window // _MINUTE}H" if window % _MINUTE == 0 else f"PT{window}M"
    return schedule


def _copy(where: str, index: int, action: JSON, notes: list[Note]) -> dict[str, Any] | None:
    parts = str(action.get("DestinationBackupVaultArn", "")).split(":")
    keep = (action.get("Lifecycle") or {}).get("DeleteAfterDays")
    if len(parts) < 7 or keep is None:
        notes.append(Note(where, "has no vault ARN or keeps for ever; write the copy rule by hand (spec.copies)"))
        return None
    region, account = parts[3], parts[4]
    notes.append(
        Note(
            where,
            f"goes to the vault {parts[-1]} of account {account}; if that is not the account of the "
            f"databases, name its Backend in spec.copies[{index}].backendRef, and its key in kmsKeyID",
        )
    )
    return {"name": object_name(region, str(index)), "region": region, "retention": {"keepWithin": days(keep)}}


def _selector(selection: JSON, notes: list[Note]) -> dict[str, Any]:
    where = f"selection {selection.get('SelectionName', '?')}"
    clauses: list[str] = []
    tags = [c for c in selection.get("ListOfTags") or () if c.get("ConditionType", "").upper() == "STRINGEQUALS"]
    if tags:  # any of these is enough
        clauses.append(
            " || ".join(_has(str(c.get("ConditionKey", "")), str(c.get("ConditionValue", ""))) for c in tags)
        )
    conditions = selection.get("Conditions") or {}
    for kind, listed in conditions.items():
        for condition in listed or ():
            key, value = str(condition.get("ConditionKey", "")), str(condition.get("ConditionValue", ""))
            if kind == "StringEquals":
                clauses.append(_has(key, value))
            elif kind == "StringNotEquals":
                clauses.append(f"!({_has(key, value)})")
            else:
                clauses.append(_like(key, value) if kind == "StringLike" else f"!({_like(key, value)})")
    clauses += _resources(where, selection, notes)
    selector: dict[str, Any] = {}
    if len(clauses) == 1 and len(tags) == 1 and not conditions:
        return {"matchTags": {_tag(str(tags[0]["ConditionKey"])): str(tags[0]["ConditionValue"])}}
    if clauses:
        selector["expression"] = " && ".join(f"({clause})" if "||" in clause else clause for clause in clauses)
    return selector


def _resources(where: str, selection: JSON, notes: list[Note]) -> list[str]:
    clauses = []
    wanted = [arn for arn in selection.get("Resources") or () if arn != "*"]
    databases = [arn for arn in wanted if ":rds:" in arn]
    if wanted and len(databases) < len(wanted):
        notes.append(Note(f"{where}.Resources", "names what is no RDS database; Stateward does not back that up"))
    exact = [arn.split(":")[-1] for arn in databases if "*" not in arn.split(":")[-1]]
    if databases and len(exact) == len(databases):
        clauses.append(f"instance.identifier in [{', '.join(quoted(name) for name in exact)}]")
    elif any(arn.split(":")[-1] != "*" for arn in databases):
        notes.append(Note(f"{where}.Resources", "selects by patterns of names, which move; select by tags instead"))
    excluded = [arn.split(":")[-1] for arn in selection.get("NotResources") or () if ":rds:" in arn]
    if excluded:
        clauses.append(f"!(instance.identifier in [{', '.join(quoted(name) for name in excluded)}])")
    return clauses


def _has(key: str, value: str) -> str:
    tag = quoted(_tag(key))
    return f"({tag} in instance.tags && instance.tags[{tag}] == {quoted(value)})"


def _like(key: str, pattern: str) -> str:
    tag = quoted(_tag(key))
    regex = "^" + "".join(".*" if sign == "*" else _literal(sign) for sign in pattern) + "$"
    return f"({tag} in instance.tags && instance.tags[{tag}].matches({quoted(regex)}))"


def _literal(sign: str) -> str:
    return sign if sign.isalnum() or sign in "-_ " else f"\\{sign}"


def _tag(key: str) -> str:
    return key.removeprefix(_TAG)
