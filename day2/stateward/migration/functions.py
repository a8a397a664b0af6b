"""The Lambda functions that people write: what their configuration says, and what tag conventions they follow.

Code is not read. The input is the configuration that `aws lambda get-function-configuration` prints (or a flat mapping
of environment variables, JSON or YAML), of which the usual names are known, and the conventions given by hand:
``environment=production:90`` (databases with this tag keep 90 days).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from stateward.migration.draft import Draft, Imported, Note, Unreadable, days, named, object_name
from stateward.migration.schedules import Unsupported, five_fields

_DAYS = r"(?:RETENTION(?:_PERIOD)?(?:_(?:IN_)?DAYS)?|DAYS_TO_(?:KEEP|RETAIN)|KEEP_DAYS|RETAIN_DAYS|MAX_AGE(?:_DAYS)?)"
_WHAT = r"(?:(?:RDS|DB|AURORA|MANUAL|SNAPSHOTS?|BACKUPS?)_)*"
_ENVIRONMENTS = {
    "PROD": "production", "PRODUCTION": "production", "PRD": "production", "STAGING": "staging", "STAGE": "staging",
    "STG": "staging", "DEV": "dev", "DEVELOPMENT": "dev", "TEST": "test", "TST": "test", "NONPROD": "nonprod",
    "QA": "qa", "DEFAULT": "",
}  # fmt: skip
_WORDS = "|".join(_ENVIRONMENTS)
_OF_DAYS = re.compile(rf"(?:(?P<before>{_WORDS})_)?{_WHAT}{_DAYS}(?:_(?P<after>{_WORDS}))?")
_OF_COUNT = re.compile(rf"(?:MIN_|KEEP_LAST_?|KEEP_|MINIMUM_){_WHAT}(?:COUNT|LAST|NUMBER|COPIES|SNAPSHOTS)?")
_OF_REGION = re.compile(r"(?:DEST(?:INATION)?|COPY|TARGET|DR|BACKUP|REPLICA)_REGION")
_OF_SCHEDULE = re.compile(r"(?:SNAPSHOT_|BACKUP_)?(?:SCHEDULE(?:_EXPRESSION)?|CRON)")
_KNOWN_AND_MOOT = re.compile(r"(?:LOG_LEVEL|DRY_?RUN|AWS_.*|REGIONS?|SNS_.*|SLACK_.*|POWERTOOLS_.*|TZ|DEBUG)")
_CONVENTION = re.compile(r"(?P<key>[^=]{1,128})=(?P<value>[^:]{0,256}):(?P<days>\d{1,5})")


class Convention(NamedTuple):
    """Databases with a tag keep their backups for so many days."""

    key: str
    value: str
    days: int

    @classmethod
    def parse(cls, text: str) -> Convention:
        """`environment=production:90`. Raises `ValueError` that says what to write."""
        found = _CONVENTION.fullmatch(text)
        if found is None or not int(found["days"]):
            raise ValueError(f"{text!r} is not KEY=VALUE:DAYS, for example environment=production:90")
        return cls(found["key"], found["value"], int(found["days"]))


def read(texts: Sequence[tuple[str, str]], conventions: Sequence[Convention], default: int | None) -> Imported:
    """Import configurations, each with the name of its file, and conventions. Raises `Unreadable`."""
    drafts = [
        Draft(
            name=object_name(each.key, each.value, f"{each.days}-days"),
            source=f"the convention that tag {each.key}={each.value} keeps {each.days} days",
            spec={"selector": {"matchTags": {each.key: each.value}}, "retention": {"keepWithin": days(each.days)}},
        )
        for each in conventions
    ]
    if default is not None:
        source = f"the convention that everything keeps {default} days"
        spec = {"selector": {}, "retention": {"keepWithin": days(default)}}
        drafts.append(Draft(name=object_name("everything", f"{default}-days"), source=source, spec=spec))
    notes: list[Note] = []
    for name, text in texts:
        found, said = _of_file(name, text)
        drafts += found
        notes += said
    if not drafts:
        raise Unreadable("nothing says how long anything is kept; give --tag KEY=VALUE:DAYS or --default DAYS")
    return Imported(drafts=named(drafts), notes=tuple(notes))


def _of_file(name: str, text: str) -> tuple[list[Draft], list[Note]]:
    function, variables = _variables(name, text)
    keeping: dict[str, int] = {}
    rest: dict[str, Any] = {}
    last, notes = None, []
    for variable, raw in sorted(variables.items()):
        value, where = str(raw).strip(), f"{name}: {variable}"
        key = variable.upper()
        if (found := _OF_DAYS.fullmatch(key)) and value.isdigit() and int(value):
            keeping[_ENVIRONMENTS[found["before"] or found["after"] or "DEFAULT"]] = int(value)
        elif _OF_COUNT.fullmatch(key) and value.isdigit() and int(value):
            last = int(value)
        elif _OF_REGION.fullmatch(key) and value:
            notes.append(Note(where, f"copies to {value} and says not how long; write spec.copies by hand"))
        elif _OF_SCHEDULE.fullmatch(key):
            try:
                rest["schedule"] = {"cron": five_fields(value)}
            except Unsupported as unsupported:
                notes.append(Note(where, f"{unsupported}; the policy has no schedule"))
        elif not _KNOWN_AND_MOOT.fullmatch(key):
            notes.append(Note(where, f"= {value[:40]!r} is no name that is known; see what the function does with it"))
    longest = keeping.get("", 0)
    notes += [
        Note(
            f"{name}: {environment}",
            f"keeps {number} days, and everything keeps {longest}: both match, and the longer "
            f"keeps; exclude it there (spec.selector.excludeTags: {{environment: {environment}}})",
        )
        for environment, number in sorted(keeping.items())
        if environment and number < longest
    ]
    drafts = [
        Draft(
            name=object_name(function, environment or "everything"),
            source=f"the configuration of the function {function}",
            spec={
                "selector": {"matchTags": {"environment": environment}} if environment else {},
                "retention": {"keepWithin": days(number), **({"keepLast": last} if last else {})},
                **rest,
            },
            notes=tuple(notes),
        )
        for environment, number in sorted(keeping.items())
    ]
    return drafts, [] if drafts else notes


def _variables(name: str, text: str) -> tuple[str, Mapping[str, Any]]:
    try:
        value = yaml.safe_load(text)  # JSON is YAML
    except yaml.YAMLError as error:
        raise Unreadable(f"{name}: is neither JSON nor YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(value, dict):
        raise Unreadable(f"{name}: holds no mapping; give it what `aws lambda get-function-configuration` prints")
    configuration = value.get("Configuration", value)
    environment = configuration.get("Environment")
    if isinstance(environment, dict):
        variables = environment.get("Variables") or {}
        return str(configuration.get("FunctionName", name)), variables
    if all(isinstance(each, str | int) for each in configuration.values()):
        return name.rsplit("/", 1)[-1].split(".")[0], configuration
    raise Unreadable(
        f"{name}: has no Environment.Variables; give it what `aws lambda get-function-configuration` prints"
    )
