"""The baseline that this benchmark exists for: the script that a team writes when no tool does what is asked.

It is written as such scripts are, with the care that they usually have: pages, roles, tags of the database for the
retention, a hold tag, sharing, and one failure that does not stop the rest. It is no part of Stateward.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

ACCOUNTS = os.environ["ACCOUNTS"].split(",")
REGIONS = os.environ["REGIONS"].split(",")
ROLE = os.environ.get("ROLE", "stateward")
KEEP_DAYS = {"production": 90}
DEFAULT_DAYS = 60
HOLD_TAG = "stateward.dev/hold"


def client(account: str, region: str) -> Any:
    role = boto3.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/{ROLE}", RoleSessionName="snapshot-cleanup"
    )["Credentials"]
    return boto3.client(
        "rds",
        region_name=region,
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
    )


def tags_of(thing: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing.get("TagList", [])}


def is_shared(rds: Any, name: str) -> bool:
    answer = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=name)["DBSnapshotAttributesResult"]
    return any(one["AttributeValues"] for one in answer["DBSnapshotAttributes"] if one["AttributeName"] == "restore")


def handler(_event: object, _context: object) -> int:
    deleted = 0
    for account in ACCOUNTS:
        for region in REGIONS:
            rds = client(account, region)
            databases: dict[str, dict[str, str]] = {}
            for page in rds.get_paginator("describe_db_instances").paginate():
                for database in page["DBInstances"]:
                    databases[database["DBInstanceIdentifier"]] = tags_of(database)
            for page in rds.get_paginator("describe_db_snapshots").paginate(SnapshotType="manual"):
                for snapshot in page["DBSnapshots"]:
                    name, tags = snapshot["DBSnapshotIdentifier"], databases.get(snapshot["DBInstanceIdentifier"], {})
                    days = KEEP_DAYS.get(tags.get("environment", ""), DEFAULT_DAYS)
                    if snapshot["Status"] != "available" or HOLD_TAG in tags | tags_of(snapshot):
                        continue
                    if "legal-case" in tags or datetime.now(UTC) - snapshot["SnapshotCreateTime"] < timedelta(
                        days=days
                    ):
                        continue
                    try:
                        if not is_shared(rds, name):
                            rds.delete_db_snapshot(DBSnapshotIdentifier=name)
                            deleted += 1
                    except Exception as error:
                        print(f"could not delete {name}: {error}", file=sys.stderr)
    return deleted


if __name__ == "__main__":
    print(f"deleted {handler({}, None)} snapshots")
