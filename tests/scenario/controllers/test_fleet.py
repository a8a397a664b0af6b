"""One view over two accounts: what the status, the report, the commands and the metrics say of the same fleet."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import Any

from tests.scenario.controllers.plane import eventually
from tests.scenario.controllers.scene import REGION, ROOT, ControllerProcess, Scene, environment

ASKS = {
    "mode": "Audit",
    "selector": {"environments": ["production"]},
    "retention": {"keepWithin": "P14D"},
    "schedule": {"cron": "0 3 * * *", "maxAge": "P3D"},
    "automatedBackups": {"keepWithin": "P90D"},
}


def two_accounts(scene: Scene) -> None:
    """A production database that nobody claimed, with too little retention, and a lab in the other account."""
    scene.seed(
        "orders",
        ages=list(range(1, 14)),
        tags={"environment": "production", "team": "shop"},
        backup_retention_period=7,
    )
    scene.seed("lab", account=scene.other_account, ages=[1], tags={"environment": "lab"})
    for name, account in (("shop", scene.account), ("research", scene.other_account)):
        scene.backend(name, account, discovery={"namespace": "discovered"})


def discovered(scene: Scene, identifier: str) -> dict[str, Any]:
    """The ServiceInstance of a database, once its divergence was looked at."""

    def looked_at() -> dict[str, Any] | None:
        for found in scene.api.list("ServiceInstance", "discovered"):
            kinds = [one["type"] for one in found.get("status", {}).get("conditions", [])]
            if found["spec"]["identifier"] == identifier and "Compliant" in kinds:
                return found
        return None

    found: dict[str, Any] = eventually(f"{identifier} is discovered and compared", looked_at)
    return found


def codes(service: dict[str, Any]) -> set[str]:
    return {one["code"] for one in service["status"].get("divergence", [])}


def stateward(scene: Scene, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "stateward.cli", *arguments, "--kubeconfig", str(scene.plane.kubeconfig)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment()
        | {
            "AWS_ENDPOINT_URL": scene.aws.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
        },
    )
    assert "Traceback" not in done.stderr
    assert done.returncode != 1, done.stderr
    return done.returncode, done.stdout


def scraped(controller: ControllerProcess) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{controller.port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}


def test_a_discovered_production_database_without_enough_retention_shows_everywhere(scene: Scene) -> None:
    two_accounts(scene)
    scene.apply("BackupPolicy", "compliance", ASKS)
    scene.apply("FleetReport", "everything", {})
    controller = scene.controller()
    service = discovered(scene, "orders")
    name, production = service["metadata"]["name"], f'account="{scene.account}"'
    assert codes(service) == {"AutomatedRetentionTooShort"}
    (short,) = service["status"]["divergence"]
    assert (short["asked"], short["actual"]) == ("35 days", "7 days")
    said = scene.until("ServiceInstance", name, "Compliant", "Diverges", "discovered")
    assert "asked 35 days, is 7 days" in said["message"]
    assert codes(discovered(scene, "lab")) == {"NoPolicy"}

    def reported() -> dict[str, Any] | None:
        status = scene.api.get("FleetReport", "everything").get("status", {})
        return status if status.get("total", {}).get("divergent") == 2 else None

    report = eventually("the report counts both", reported, seconds=90)
    groups = {(group["by"], group["value"]): group["counts"] for group in report["groups"]}
    assert groups["Account", scene.account]["divergent"] == 1
    assert groups["Team", "shop"]["instances"] == 1
    assert groups["Environment", "lab"]["unprotected"] == 1
    assert {code["code"]: code["instances"] for code in report["codes"]} == {
        "AutomatedRetentionTooShort": 1,
        "NoPolicy": 1,
    }

    code, out = stateward(scene, "fleet", "--by", "environment", "-o", "json")
    assert code == 0
    assert {row["value"]: row["counts"]["divergent"] for row in json.loads(out)["groups"]} == {
        "production": 1,
        "lab": 1,
    }
    code, out = stateward(scene, "divergence", "--environment", "production", "--fail-on", "AutomatedRetentionTooShort")
    assert code == 3
    assert "AutomatedRetentionTooShort" in out
    assert name in out

    series = scraped(controller)
    (diverges,) = (each for each in series if each.startswith("stateward_divergence{") and production in each)
    assert 'code="AutomatedRetentionTooShort"' in diverges
    assert f'name="{name}"' in diverges
    (age,) = (
        value for each, value in series.items() if each.startswith("stateward_backup_age_") and production in each
    )
    assert 0 <= age < 3600  # continuous backups reach nearly to now
    assert series[f'stateward_listing_complete{{account="{scene.account}",backend="shop",region="{REGION}"}}'] == 1.0
    assert series['stateward_restore_points{policy="compliance",verdict="Keep"}'] == 13.0


def test_what_was_mended_is_no_longer_said_anywhere(scene: Scene) -> None:
    two_accounts(scene)
    scene.apply("BackupPolicy", "compliance", ASKS)
    controller = scene.controller()
    name = discovered(scene, "orders")["metadata"]["name"]
    scene.until("ServiceInstance", name, "Compliant", "Diverges", "discovered")
    scene.aws.rds(scene.account).modify_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=35)
    scene.until("ServiceInstance", name, "Compliant", "Compliant", "discovered", seconds=90)
    assert codes(discovered(scene, "orders")) == set()
    assert not any(each.startswith("stateward_divergence{") and name in each for each in scraped(controller))


def test_an_account_that_falls_silent_is_unknown_and_takes_nothing_back(scene: Scene) -> None:
    two_accounts(scene)
    scene.apply("BackupPolicy", "compliance", ASKS)
    controller = scene.controller()
    before = discovered(scene, "orders")
    assert codes(before) == {"AutomatedRetentionTooShort"}
    scene.fault(operation="DescribeDBSnapshots", code="AccessDenied", status=403)
    scene.until("Backend", "shop", "Reachable", "Incomplete")
    place = f'{{account="{scene.account}",backend="shop",region="{REGION}"}}'
    eventually("the metrics say so", lambda: scraped(controller)[f"stateward_listing_complete{place}"] == 0.0)
    labels = f'account="{scene.account}",environment="production",region="{REGION}",standing="Unknown"'
    unknown = f"stateward_instances{{{labels}}}"
    eventually("its instance is unknown", lambda: scraped(controller).get(unknown) == 1.0)
    assert not any(each.startswith("stateward_divergence{") and scene.account in each for each in scraped(controller))
    assert codes(discovered(scene, "orders")) == {"AutomatedRetentionTooShort"}
    code, out = stateward(scene, "divergence", "--account", scene.account, "-o", "json")
    assert code == 2
    assert json.loads(out)["divergence"] == []
    assert [one["instance"] for one in json.loads(out)["unknown"]] == [f"discovered/{before['metadata']['name']}"]


def test_a_steady_fleet_writes_nothing(scene: Scene) -> None:
    two_accounts(scene)
    scene.apply("BackupPolicy", "compliance", ASKS)
    scene.apply("FleetReport", "everything", {"groupBy": ["Account"]})
    scene.controller()
    discovered(scene, "orders")
    discovered(scene, "lab")
    eventually(
        "the report is complete",
        lambda: scene.api.get("FleetReport", "everything").get("status", {}).get("total", {}).get("instances") == 2,
        seconds=90,
    )
    scene.settle("shop")
    before = scene.plane.writes()
    scene.settle("shop")
    scene.settle("research")
    assert scene.plane.writes()[len(before) :] == []


def test_a_report_with_a_selector_that_cannot_be_used_says_what_to_write(scene: Scene) -> None:
    two_accounts(scene)
    scene.apply("FleetReport", "broken", {"selector": {"expression": "instance.tags.team =="}})
    scene.controller()
    said = scene.until("FleetReport", "broken", "Valid", "InvalidExpression")
    assert "spec.selector.expression" in said["message"]
