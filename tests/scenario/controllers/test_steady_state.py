"""A controller with nothing to do writes nothing: not while it idles, not when it starts again."""

from __future__ import annotations

import time

from tests.scenario.controllers.plane import eventually
from tests.scenario.controllers.scene import Scene

READS = ("Describe", "List", "Get", "AssumeRole")


def test_nothing_is_written_in_a_steady_state_and_at_a_restart(scene: Scene) -> None:
    scene.seed("orders", ages=[1, 20, 95, 120], tags={"environment": "production"})
    scene.seed("ledger", ages=[1, 20, 95, 120])
    scene.seed("archive", ages=[1, 100, 110, 120, 130])
    scene.backend("one", scene.account, "eu-west-1", "us-east-1", discovery={"namespace": "discovered"})
    scene.backend("refused", scene.other_account, aws={"roleARN": f"arn:aws:iam::{scene.other_account}:role/nobody"})
    scene.instance("orders", "one", labels={"case": "4711"})
    scene.instance("elsewhere", "refused")
    scene.apply("Hold", "case", {"reason": "case 4711", "selector": {"matchLabels": {"case": "4711"}}})
    retention = {"keepWithin": "P90D"}
    schedule = {"cron": "0 3 1 1 *"}
    scene.apply("BackupPolicy", "ninety", {"mode": "Enforce", "selector": {}, "retention": retention})
    scene.apply("BackupPolicy", "yearly", {"selector": {}, "retention": retention, "schedule": schedule})
    scene.apply("BackupPolicy", "broken", {"selector": {"expression": "nonsense"}, "retention": retention})
    controller = scene.controller()
    scene.until("Backend", "one", "Reachable", "Listed")
    scene.until("Backend", "refused", "Reachable", "RoleRefused")
    scene.until("ServiceInstance", "orders", "Protected", "PolicyMatches", "team")
    eventually("everything is discovered", lambda: len(scene.api.list("ServiceInstance", "discovered")) == 2)
    scene.settle("one")
    written = len(scene.plane.writes())
    time.sleep(25)
    assert scene.plane.writes()[written:] == []
    assert controller.stop() == 0
    scene.controller()
    scene.settle("one")
    time.sleep(5)
    assert scene.plane.writes()[written:] == []
    calls = scene.aws.request("GET", "calls")["calls"]
    changing = [row for row in calls if row["account"] == scene.account and not row["operation"].startswith(READS)]
    assert changing == []
