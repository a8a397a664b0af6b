"""What other tools were told becomes policies in Audit mode, and nothing is dropped in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import yaml

from stateward.api.models import BackupPolicy, Selector
from stateward.cli.main import invoke
from stateward.migration import aws_backup, custodian, functions
from stateward.migration.draft import Draft, Imported, Unreadable
from stateward.migration.functions import Convention
from stateward.migration.schedules import Unsupported, five_fields
from stateward.policy.selector import Match, compile_selector
from stateward.policy.subject import subject_of
from tests.builders import a_service_instance, an_instance


def matches(draft: Draft, tags: dict[str, str], **fields: Any) -> bool:
    """Whether the selector of a draft takes a database with these tags."""
    live = an_instance("orders", tags=tags, **fields)
    selector = yaml_policy(draft).spec.selector
    return compile_selector(selector).match(subject_of(a_service_instance(live), live)) is Match.YES


def yaml_policy(draft: Draft) -> BackupPolicy:
    """The policy as somebody would apply it."""
    return msgspec.convert(yaml.safe_load(draft.yaml()), BackupPolicy)


def only(imported: Imported) -> Draft:
    (draft,) = imported.drafts
    assert draft.problems() == ()
    assert yaml_policy(draft).spec.mode == "Audit"
    return draft


class TestSchedules:
    @pytest.mark.parametrize(
        ("expression", "cron"),
        [
            ("cron(0 5 ? * * *)", "0 5 * * *"),
            ("cron(30 4 1 * ? *)", "30 4 1 * *"),
            ("cron(0 5 ? * 2-6 *)", "0 5 * * MON-FRI"),
            ("cron(0 5 ? * SUN,4 *)", "0 5 * * SUN,WED"),
            ("cron(0 0/6 * * ? *)", "0 0/6 * * *"),
            ("rate(1 day)", "0 3 * * *"),
            ("rate(6 hours)", "0 */6 * * *"),
            ("rate(1 hour)", "0 * * * *"),
            ("rate(7 days)", "0 3 * * SUN"),
            ("15 2 * * *", "15 2 * * *"),
        ],
    )
    def test_become_five_fields(self, expression: str, cron: str) -> None:
        assert five_fields(expression) == cron

    @pytest.mark.parametrize(
        "expression", ["cron(0 5 L * ? *)", "cron(0 5 ? * 2#1 *)", "cron(0 5 ? * * 2026)", "rate(5 hours)", "nightly"]
    )
    def test_that_cron_cannot_say_are_said_so(self, expression: str) -> None:
        with pytest.raises(Unsupported, match=r"cron|rate|five-field|year"):
            five_fields(expression)


class TestCustodian:
    def read(self, *policies: dict[str, Any]) -> Imported:
        return custodian.read([("c7n.yaml", yaml.safe_dump({"policies": list(policies)}))])

    def policy(
        self, *filters: Any, actions: Any = ("delete",), resource: str = "aws.rds-snapshot", **more: Any
    ) -> Imported:
        given = {"name": "clean up", "resource": resource, "filters": list(filters), "actions": list(actions), **more}
        return self.read(given)

    def test_an_age_becomes_what_is_kept(self) -> None:
        draft = only(self.policy({"type": "age", "days": 90, "op": "ge"}, {"SnapshotType": "manual"}))
        assert draft.spec["retention"] == {"keepWithin": "P90D"}
        assert (draft.name, draft.notes) == ("clean-up", ())

    def test_without_an_age_the_least_is_written_and_said(self) -> None:
        draft = only(self.policy())
        assert "whatever its age" in str(draft.notes[0])

    @pytest.mark.parametrize(
        ("filters", "tags", "takes"),
        [
            ([{"tag:env": "prod"}], {"env": "prod"}, True),
            ([{"tag:env": "prod"}], {"env": "dev"}, False),
            ([{"tag:hold": "absent"}], {}, True),
            ([{"tag:hold": "absent"}], {"hold": "x"}, False),
            ([{"tag:owner": "present"}], {"owner": "x"}, True),
            ([{"tag:owner": "present"}], {}, False),
            ([{"type": "value", "key": "tag:env", "op": "in", "value": ["a", "b"]}], {"env": "b"}, True),
            ([{"type": "value", "key": "tag:env", "op": "ni", "value": ["a", "b"]}], {"env": "b"}, False),
            ([{"type": "value", "key": "tag:env", "op": "ne", "value": "a"}], {}, True),
            ([{"type": "value", "key": "tag:env", "op": "regex", "value": "^pr"}], {"env": "prod"}, True),
            ([{"or": [{"tag:t": "a"}, {"tag:t": "b"}]}], {"t": "b"}, True),
            ([{"or": [{"tag:t": "a"}, {"tag:t": "b"}]}], {"t": "c"}, False),
            ([{"not": [{"tag:t": "a"}]}], {"t": "a"}, False),
            ([{"and": [{"tag:t": "a"}, {"tag:u": "b"}]}], {"t": "a"}, False),
        ],
    )
    def test_filters_on_tags_select_the_same_databases(
        self, filters: list[Any], tags: dict[str, str], takes: bool
    ) -> None:
        draft = only(self.policy({"type": "age", "days": 7}, *filters))
        assert matches(draft, tags) is takes

    def test_a_value_that_looks_like_an_expression_stays_a_value(self) -> None:
        value = '" || true || "\\'
        draft = only(self.policy({"type": "age", "days": 7}, {"not": [{"tag:t": value}]}))
        assert matches(draft, {"t": value}) is False
        assert matches(draft, {"t": "other"}) is True

    @pytest.mark.parametrize(
        "strange",
        [
            {"type": "value", "key": "AllocatedStorage", "op": "gt", "value": 100},
            {"type": "cross-account"},
            {"or": [{"type": "latest"}, {"tag:t": "a"}]},
            {"type": "age", "days": 5, "op": "lt"},
            "bare",
        ],
    )
    def test_what_cannot_be_said_is_listed_with_its_place(self, strange: Any) -> None:
        draft = only(self.policy({"type": "age", "days": 7}, strange))
        assert any(note.where.startswith("c7n.yaml: policies[0].filters[1]") for note in draft.notes)
        assert "# Not carried over: c7n.yaml" in draft.yaml()

    def test_all_but_the_latest_keeps_one(self) -> None:
        draft = only(self.policy({"type": "age", "days": 7}, {"not": [{"type": "latest"}]}))
        assert draft.spec["retention"] == {"keepWithin": "P7D", "keepLast": 1}

    def test_retention_of_databases_is_that_of_automated_backups(self) -> None:
        draft = only(
            self.policy({"BackupRetentionPeriod": 0}, actions=[{"type": "retention", "days": 21}], resource="rds")
        )
        assert draft.spec["automatedBackups"] == {"action": "Set", "keepWithin": "P21D"}
        assert draft.spec["retention"] == {"keepWithin": "P36500D"}, "Custodian deletes no snapshot here"
        assert len(draft.notes) == 3

    def test_a_periodic_snapshot_becomes_a_schedule(self) -> None:
        mode = {"type": "periodic", "schedule": "cron(15 1 ? * * *)", "timezone": "Europe/Berlin"}
        draft = only(self.policy(actions=["snapshot"], resource="rds", mode=mode))
        assert draft.spec["schedule"] == {"cron": "15 1 * * *", "timeZone": "Europe/Berlin"}
        assert "retention" not in draft.spec

    def test_other_resources_and_policies_without_effect_are_listed(self) -> None:
        imported = self.read({"name": "a", "resource": "ebs"}, {"name": "b", "resource": "rds", "actions": ["tag"]})
        assert imported.drafts == ()
        assert [note.where for note in imported.notes] == [
            "c7n.yaml: policies[0]", "c7n.yaml: policies[1].actions[0]", "c7n.yaml: policies[1]",
        ]  # fmt: skip

    @pytest.mark.parametrize("text", ["[", "policies: 3", "policies: [3]", "", "a: b"])
    def test_another_kind_of_file_is_one_clear_error(self, text: str) -> None:
        with pytest.raises(Unreadable, match=r"c7n\.yaml"):
            custodian.read([("c7n.yaml", text)])


class TestAwsBackup:
    RULE: ClassVar[dict[str, Any]] = {
        "RuleName": "daily",
        "ScheduleExpression": "cron(0 5 ? * * *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartWindowMinutes": 90,
        "Lifecycle": {"DeleteAfterDays": 90},
    }

    def read(self, rule: dict[str, Any], *selections: dict[str, Any]) -> Imported:
        plan = {"BackupPlan": {"BackupPlanName": "Prod", "Rules": [rule]}}
        texts = [("plan.json", json.dumps(plan))]
        texts += [("sel.json", json.dumps({"BackupSelection": each})) for each in selections]
        return aws_backup.read(texts)

    def test_a_rule_for_a_selection_is_a_policy(self) -> None:
        tags = [{"ConditionType": "STRINGEQUALS", "ConditionKey": "env", "ConditionValue": "prod"}]
        draft = only(self.read(self.RULE, {"SelectionName": "tagged", "ListOfTags": tags}))
        assert draft.name == "prod-daily-tagged"
        assert draft.spec == {
            "selector": {"matchTags": {"env": "prod"}},
            "schedule": {"cron": "0 5 * * *", "timeZone": "Europe/Berlin", "startingDeadline": "PT90M"},
            "retention": {"keepWithin": "P90D"},
        }

    @pytest.mark.parametrize(
        ("selection", "tags", "takes"),
        [
            ({"ListOfTags": [("a", "1"), ("b", "2")]}, {"b": "2"}, True),  # any of them
            ({"ListOfTags": [("a", "1"), ("b", "2")]}, {"b": "3"}, False),
            (
                {"Conditions": {"StringEquals": [("aws:ResourceTag/a", "1"), ("aws:ResourceTag/b", "2")]}},
                {"a": "1"},
                False,
            ),
            ({"Conditions": {"StringNotEquals": [("aws:ResourceTag/a", "1")]}}, {}, True),
            ({"Conditions": {"StringLike": [("aws:ResourceTag/a", "pay*")]}}, {"a": "payments"}, True),
            ({"Conditions": {"StringLike": [("aws:ResourceTag/a", "p.y*")]}}, {"a": "payments"}, False),
            ({"Conditions": {"StringNotLike": [("aws:ResourceTag/a", "pay*")]}}, {"a": "payments"}, False),
            ({"Resources": ["arn:aws:rds:eu-west-1:111111111111:db:orders"]}, {}, True),
            ({"Resources": ["arn:aws:rds:eu-west-1:111111111111:db:other"]}, {}, False),
            ({"NotResources": ["arn:aws:rds:eu-west-1:111111111111:db:orders"]}, {}, False),
            ({"Resources": ["*"]}, {}, True),
        ],
    )
    def test_selections_take_the_same_databases(
        self, selection: dict[str, Any], tags: dict[str, str], takes: bool
    ) -> None:
        def conditions(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
            return [
                {"ConditionType": "STRINGEQUALS", "ConditionKey": key, "ConditionValue": value} for key, value in pairs
            ]

        given = dict(selection)
        if "ListOfTags" in given:
            given["ListOfTags"] = conditions(given["ListOfTags"])
        given["Conditions"] = {kind: conditions(pairs) for kind, pairs in given.get("Conditions", {}).items()}
        assert matches(only(self.read(self.RULE, given)), tags) is takes

    def test_what_has_no_counterpart_is_listed(self) -> None:
        rule = self.RULE | {
            "Lifecycle": {"DeleteAfterDays": 90, "MoveToColdStorageAfterDays": 30},
            "EnableContinuousBackup": True,
            "RecoveryPointTags": {"a": "b"},
            "CopyActions": [
                {"DestinationBackupVaultArn": "arn:aws:backup:eu-central-1:222222222222:backup-vault:dr",
                 "Lifecycle": {"DeleteAfterDays": 30}},
                {"DestinationBackupVaultArn": "arn:aws:backup:eu-west-3:222222222222:backup-vault:dr"},
            ],
        }  # fmt: skip
        draft = only(self.read(rule, {"SelectionName": "all", "Resources": ["*"]}))
        assert [note.where.rpartition(".")[2] for note in draft.notes] == [
            "MoveToColdStorageAfterDays", "EnableContinuousBackup", "CopyActions[0]", "CopyActions[1]",
            "RecoveryPointTags",
        ]  # fmt: skip
        assert draft.spec["copies"] == [
            {"name": "eu-central-1-0", "region": "eu-central-1", "retention": {"keepWithin": "P30D"}}
        ]

    def test_a_rule_that_keeps_for_ever_lets_nothing_go(self) -> None:
        draft = only(self.read(self.RULE | {"Lifecycle": {}}, {"SelectionName": "all"}))
        assert "retention" not in draft.spec

    def test_without_a_selection_it_says_that_all_are_selected(self) -> None:
        imported = self.read(self.RULE)
        assert yaml_policy(only(imported)).spec.selector == Selector()
        assert "every database" in str(imported.notes[0])

    @pytest.mark.parametrize("text", ["x", "3", '{"a": 1}', "[]", '{"BackupSelection": {}}'])
    def test_another_kind_of_file_is_one_clear_error(self, text: str) -> None:
        with pytest.raises(Unreadable):
            aws_backup.read([("plan.json", text)])


class TestLambda:
    def test_conventions_of_tags_become_policies(self) -> None:
        imported = functions.read([], [Convention.parse("environment=production:90")], 14)
        assert [(draft.name, draft.spec["retention"]) for draft in imported.drafts] == [
            ("environment-production-90-days", {"keepWithin": "P90D"}),
            ("everything-14-days", {"keepWithin": "P14D"}),
        ]

    @pytest.mark.parametrize("variable", ["RETENTION_DAYS", "DAYS_TO_KEEP", "SNAPSHOT_RETENTION_DAYS", "retention"])
    def test_the_usual_names_of_variables_are_known(self, variable: str) -> None:
        draft = only(
            functions.read([("f.json", self.configuration(**{variable: "30", "MIN_SNAPSHOTS": "2"}))], [], None)
        )
        assert draft.spec["retention"] == {"keepWithin": "P30D", "keepLast": 2}

    @pytest.mark.parametrize("variable", ["PROD_RETENTION_DAYS", "RETENTION_DAYS_PRODUCTION", "PRD_RDS_RETENTION_DAYS"])
    def test_an_environment_in_a_name_selects_it(self, variable: str) -> None:
        draft = only(functions.read([("f.json", self.configuration(**{variable: "90"}))], [], None))
        assert matches(draft, {"environment": "production"})
        assert not matches(draft, {"environment": "dev"})

    def test_a_shorter_rule_beside_one_for_everything_is_said_to_have_no_effect(self) -> None:
        text = self.configuration(RETENTION_DAYS="90", RETENTION_DAYS_DEV="7")
        imported = functions.read([("f.json", text)], [], None)
        assert any("the longer keeps" in str(note) for draft in imported.drafts for note in draft.notes)

    def test_what_is_not_understood_is_listed_and_secrets_are_not_printed_whole(self) -> None:
        secret = "x" * 100
        draft = only(functions.read([("f.json", self.configuration(RETENTION="7", TOKEN=secret))], [], None))
        assert "TOKEN" in str(draft.notes[0])
        assert secret not in draft.yaml()

    @pytest.mark.parametrize("text", ["{", "3", '{"Environment": 3}', "{}", '{"RETENTION_DAYS": "soon"}'])
    def test_a_file_that_says_nothing_is_one_clear_error(self, text: str) -> None:
        with pytest.raises(Unreadable):
            functions.read([("f.json", text)], [], None)

    @pytest.mark.parametrize("text", ["environment", "a=b", "a=b:", "a=b:0", "=b:3", "a=b:x"])
    def test_a_convention_of_another_form_says_what_to_write(self, text: str) -> None:
        with pytest.raises(ValueError, match="KEY=VALUE:DAYS"):
            Convention.parse(text)

    @staticmethod
    def configuration(**variables: str) -> str:
        return json.dumps({"FunctionName": "rds-cleanup", "Environment": {"Variables": variables}})


class TestCommand:
    def test_writes_a_file_for_each_policy_and_overwrites_none(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "policies"
        arguments = ["import", "lambda", "--tag", "environment=production:90", "--default", "14", "--out", str(out)]
        assert invoke(arguments) == 0
        assert sorted(path.name for path in out.iterdir()) == [
            "environment-production-90-days.yaml",
            "everything-14-days.yaml",
        ]
        assert invoke(arguments) == 1
        assert "exists already" in capsys.readouterr().err

    def test_exits_with_two_where_something_is_lost(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = tmp_path / "c7n.yaml"
        source.write_text(yaml.safe_dump({"policies": [{"resource": "ebs"}]}))
        assert invoke(["import", "custodian", str(source)]) == 2
        assert "is about ebs" in capsys.readouterr().err

    def test_a_file_that_is_not_there_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert invoke(["import", "aws-backup", "/nowhere/plan.json"]) == 1
        assert capsys.readouterr().err.count("\n") == 1
