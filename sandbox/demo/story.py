"""The story: each function is one chapter, in order. Manifests are in `examples/demo`.

A chapter shows commands, and states what must be true after them. What it needs of an earlier one goes through the
cluster, never through Python, so that a reader can repeat it by hand.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sandbox.demo.stage import Stage

NAMESPACE = "team-shop"
READY = "--for=condition=Ready --timeout=120s"
V2 = "postgresqls.platform.stateward.dev"
V1 = "postgresqls.claims.stateward.dev"
FILES = "examples/demo"
PLAN = ".sandbox/plan.json"
REPORTS = 16
"""Restore points of the database that the hold is about."""
POLICIES = ("production-90-days", "everything-14-days")


def installed(stage: Stage) -> None:
    """Packages, as Crossplane sees them."""
    stage.chapter("Two Configurations brought the function, the controller and their definitions")
    stage.run("kubectl get configurations,functions,providers")
    packages = _items(stage, "kubectl get configurations,functions,providers -o json")
    stage.expect(
        len(packages) >= 6 and all(_is(item, "Healthy") for item in packages), f"{len(packages)} packages are healthy"
    )


def platform(stage: Stage) -> None:
    """Backends and plans, by the platform team; and the past of two accounts."""
    stage.chapter("The platform team connects two AWS accounts and a PostgreSQL server, and offers two plans")
    stage.say("The accounts have a past: nine databases that no claim made, and snapshots up to 200 days old.")
    stage.say("AWS is an emulator here, and provider-aws a stand-in. Everything else is real.")
    stage.run("python -m sandbox.emulator.seed --once")
    stage.run(f"kubectl apply -f {FILES}/namespaces.yaml")
    stage.run(f"python -m sandbox.demo.fill {FILES}/backends.yaml | kubectl apply -f -")
    stage.run(f"python -m sandbox.demo.fill {FILES}/plans.yaml | kubectl apply -f -")
    stage.run("kubectl wait backends --all --for=condition=Reachable --timeout=60s")
    stage.run("kubectl get backends,serviceplans")


def claims(stage: Stage) -> None:
    """Both kinds of claim become databases, and psql works."""
    stage.chapter("A developer claims a database, as a namespaced composite of Crossplane v2")
    stage.run(f"kubectl apply -f {FILES}/claim-namespaced.yaml")
    stage.run(f"kubectl -n {NAMESPACE} wait {V2}/cart {READY}")
    stage.run(f"kubectl -n {NAMESPACE} get {V2}")
    _session(stage, "cart")

    stage.chapter("The same with a claim of Crossplane v1")
    stage.run(f"kubectl apply -f {FILES}/claim-legacy.yaml")
    stage.run(f"kubectl -n {NAMESPACE} wait {V1}/prices {READY}")
    stage.run(f"kubectl -n {NAMESPACE} get {V1}")
    _session(stage, "prices")


def rds(stage: Stage) -> None:
    """A claim becomes an RDS instance that enrols itself; a mistake is answered."""
    stage.chapter("A claim becomes an RDS instance, and enrols itself in day-2 care")
    stage.run(f"kubectl apply -f {FILES}/claim-rds.yaml")
    stage.run(f"kubectl -n {NAMESPACE} wait {V2}/checkout {READY}")
    stage.run(f"kubectl -n {NAMESPACE} get serviceinstances")
    name = _instance(stage, "checkout")
    stage.run(f"kubectl -n {NAMESPACE} wait serviceinstance/{name} --for=condition=Observed --timeout=60s")
    stage.say("A mistake is answered at once, with the field and the way out:")
    stage.run(
        f'kubectl -n {NAMESPACE} patch {V2}/checkout --type merge -p \'{{"spec":{{"storageGB":10}}}}\'',
        codes=(1,),
    )
    stage.say("A backup now, because somebody is about to migrate:")
    stage.run(f"INSTANCE={name} python -m sandbox.demo.fill {FILES}/backup.yaml | kubectl apply -f -")
    stage.run(f"kubectl -n {NAMESPACE} wait backup/before-migration --for=condition=Completed --timeout=60s")
    stage.run(f"kubectl -n {NAMESPACE} get backups")


def fleet(stage: Stage) -> None:
    """Databases that no claim made are under care too."""
    stage.chapter("Databases that no claim ever made were discovered, in both accounts")
    stage.run("stateward status -A", lines=50, codes=(0, 2))
    found = _items(stage, "kubectl -n discovered get serviceinstances -o json")
    stage.expect(len(found) >= 9, f"{len(found)} databases have a ServiceInstance that no claim asked for")


def audit(stage: Stage) -> None:
    """Policies in Audit, and the plan."""
    stage.chapter("Compliance asks for 90 days in production, 14 days for the rest. First in Audit")
    stage.run(f"cat {FILES}/policies.yaml", lines=40)
    stage.run(f"kubectl apply -f {FILES}/policies.yaml")
    stage.run("kubectl wait backuppolicies --all --for=condition=Valid --timeout=60s")
    stage.run("stateward plan", lines=48, codes=(0, 3))
    report = _plan(stage)
    stage.expect(report["verdicts"]["Expire"] > 0, f"{report['verdicts']['Expire']} restore points are let go")
    stage.expect(report["deletes"] == 0, "nothing would be deleted: the policies are in Audit")
    stage.say("The claim shows its protection too:")
    stage.run(f"kubectl -n {NAMESPACE} wait {V2}/checkout --for=condition=Protected --timeout=60s")
    stage.run(f"kubectl -n {NAMESPACE} get {V2}/checkout")


def hold(stage: Stage) -> None:
    """A hold wins over every policy."""
    stage.chapter("Legal places a hold on the backups of one team")
    stage.run(f"kubectl apply -f {FILES}/hold.yaml")
    stage.run("stateward plan --verdict held", lines=30, codes=(0, 3))
    held = _plan(stage)["verdicts"]["Held"]
    stage.expect(held > 0, f"{held} restore points that the policies let go are held")


def enforce(stage: Stage) -> None:
    """Enforce: where too much would go the pass is refused; somebody looks, agrees, and it goes."""
    stage.chapter("Enforce. A region where a database would lose more than half of its backups is refused as a whole")
    before = _points(stage)
    for policy in POLICIES:
        stage.run(f'kubectl patch backuppolicy {policy} --type merge -p \'{{"spec":{{"mode":"Enforce"}}}}\'')
    stage.until("the controller has refused what is too much", lambda: _passes(stage, "Refused"))
    stage.until("and deleted what is due elsewhere", lambda: _plan(stage)["deletes"] == 0)
    stage.run("stateward plan --account 222222222222 --verdict expire", codes=(3,))
    stage.say("Exit code 3 says so to a script.")
    refused = {(row["account"], row["region"]) for row in _plan(stage)["refusals"]}
    spared = {point for point in before if point[:2] in refused}
    stage.expect(
        bool(refused) and spared <= _points(stage).keys(), f"nothing was deleted in {len(refused)} refused regions"
    )

    stage.chapter("Somebody reads the plan and approves it: exactly what it names goes, and nothing else")
    stage.run(f"stateward plan --save {PLAN}", lines=9, codes=(3,))
    stage.run(f'stateward apply {PLAN} --yes --reason "the clean-up that was agreed on"', lines=20)
    stage.run("kubectl get retentionplans")
    stage.until("no pass is refused any more", lambda: not _plan(stage)["refusals"])
    stage.until("the controller has deleted what is due", lambda: _plan(stage)["deletes"] == 0, 120)
    stage.until("every pass is over", lambda: not _passes(stage, "Deleting", "Refused"))
    stage.run(
        "kubectl get backends -o custom-columns='NAME:.metadata.name,LAST PASS:.status.enforcement.phase,"
        "PLANNED:.status.enforcement.planned,DELETED:.status.enforcement.deleted,MESSAGE:.status.enforcement.message'"
    )
    after = _points(stage)
    gone = Counter(database for point, database in before.items() if point not in after)
    stage.expect(gone.total() > 0, f"{gone.total()} of {len(before)} restore points are gone, {len(after)} stay")
    stage.say(f"Gone: {', '.join(f'{count} of {name}' for name, count in gone.most_common())}.")
    stage.run("stateward status -A", lines=50)


def stayed(stage: Stage) -> None:
    """What stayed, and why."""
    stage.chapter("What stayed, and why")
    stage.say("A production database keeps 90 days:")
    stage.run(f"stateward plan --instance discovered/{_discovered(stage, 'orders')}")
    stage.say(
        "These stay whatever the policies say: shared, unfinished, not restorable, or the last one of a database:"
    )
    stage.run("stateward plan --verdict unknown --verdict floor", lines=40)
    stage.say("One database in full. Nobody tagged it and no claim made it:")
    stage.run(f"stateward explain discovered/{_discovered(stage, 'warehouse')}", lines=60)
    rows = _plan(stage)["points"]
    stage.expect(
        all(row["verdict"] == "Keep" for row in rows if row["database"] == "orders"), "production keeps its 90 days"
    )
    held = [row for row in rows if row["database"] == "reports"]
    stage.expect(len(held) == REPORTS and all(row["verdict"] == "Held" for row in held), "what is held lost nothing")
    stage.expect(not _without_any(stage), "every database that no claim made still has a restorable point")


def farewell(stage: Stage) -> None:
    """Claims are deleted; each database does what its deletion policy says."""
    stage.chapter("The claims are deleted. Each database does what its deletion policy says")
    names = {name: stage.read(f"kubectl -n {NAMESPACE} get secret {name}-connection -o "
             "jsonpath='{.data.database}' | base64 -d").strip() for name in ("cart", "prices")}  # fmt: skip
    stage.run(f"kubectl -n {NAMESPACE} delete {V2}/cart {V2}/checkout {V1}/prices --timeout=120s")
    databases = 'psql -AtXc "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"'
    stage.until("the dev database is gone", lambda: names["cart"] not in stage.read(databases).split(), 90)
    stage.run(databases)
    stage.expect(names["prices"] in stage.read(databases).split(), "the orphaned database stays, with its data")
    stage.until("the RDS instance is gone", lambda: not _rds_instance(stage), 120)
    final = [name for _, _, name in _points(stage) if "-final-" in name]
    stage.expect(len(final) == 1, f"its final snapshot stays: {final[0] if final else ''}")
    stage.run(f"kubectl -n {NAMESPACE} get {V2},{V1},serviceinstances,secrets,managed")


CHAPTERS = (installed, platform, claims, rds, fleet, audit, hold, enforce, stayed, farewell)


def _session(stage: Stage, name: str) -> None:
    uri = f"$(kubectl -n {NAMESPACE} get secret {name}-connection -o jsonpath='{{.data.uri}}' | base64 -d)"
    statements = (
        "CREATE TABLE item (name text); INSERT INTO item VALUES ('tea'); "
        "SELECT name, current_database(), current_setting('server_version') AS postgresql FROM item"
    )
    shown = stage.run(f'psql -X "{uri}" -c "{statements}"')
    stage.expect("tea" in shown, "psql works with the connection Secret")


def _items(stage: Stage, command: str) -> list[dict[str, Any]]:
    return list(stage.read_json(command)["items"])


def _is(item: dict[str, Any], condition: str) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)


def _instance(stage: Stage, claim: str) -> str:
    for item in _items(stage, f"kubectl -n {NAMESPACE} get serviceinstances -o json"):
        if item["spec"].get("ownerRef", {}).get("name") == claim:
            return str(item["metadata"]["name"])
    return ""


def _discovered(stage: Stage, identifier: str) -> str:
    for item in _items(stage, "kubectl -n discovered get serviceinstances -o json"):
        if item["spec"]["identifier"] == identifier:
            return str(item["metadata"]["name"])
    return ""


def _plan(stage: Stage) -> dict[str, Any]:
    return dict(stage.read_json("stateward plan -o json", codes=(0, 3)))


def _points(stage: Stage) -> dict[tuple[str, str, str], str]:
    """Every restore point by account, region and name, with the name of its database."""
    return {(row["account"], row["region"], row["restorePoint"]): row["database"] for row in _plan(stage)["points"]}


def _passes(stage: Stage, *phases: str) -> bool:
    """Whether the last pass over some Backend is in one of these phases."""
    backends = _items(stage, "kubectl get backends -o json")
    return any(item.get("status", {}).get("enforcement", {}).get("phase") in phases for item in backends)


def _without_any(stage: Stage) -> list[str]:
    """Databases that are under care and have no restorable point left, though they had one."""
    items = _items(stage, "kubectl -n discovered get serviceinstances -o json")
    return [
        item["spec"]["identifier"]
        for item in items
        if not item.get("status", {}).get("protection", {}).get("restorePoints", 0)
    ]


def _rds_instance(stage: Stage) -> bool:
    seen = _items(stage, f"kubectl -n {NAMESPACE} get instances.rds.aws.m.upbound.io -o json")
    return bool(seen)
