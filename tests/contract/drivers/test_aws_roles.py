"""Whose credentials an AWS driver works with, and how it behaves when they are wrong."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.drivers.aws_rds.session import Identity, Keys
from stateward.drivers.base import DeleteState
from tests.contract.drivers.emulated import CONTROLLER, ONE, REGION, TWO, Emulator, driver_of, now, role_arn, session_of


def seed(emulator: Emulator, account: str = ONE) -> None:
    place = {"account": account, "region": REGION}
    emulator.seed(
        instances=[{**place, "identifier": "orders"}],
        snapshots=[{**place, "identifier": "old", "instance": "orders", "createdAt": "2024-01-01T00:00:00Z"}],
    )


def test_the_external_id_of_the_backend_opens_the_role(emulator: Emulator) -> None:
    emulator.own("PUT", "roles", {role_arn(ONE): "a-shared-word"})
    driver_of(emulator.spec(external_id="a-shared-word")).check()
    with pytest.raises(Terminal) as caught:
        driver_of(emulator.spec(external_id="another-word")).check()
    assert caught.value.reason is Reason.ROLE_REFUSED
    assert "spec.aws.externalID" in str(caught.value)
    assert "another-word" not in str(caught.value)


def test_a_role_in_another_account_is_never_used(emulator: Emulator) -> None:
    seed(emulator, TWO)
    driver = driver_of(emulator.spec(ONE, role_arn=role_arn(TWO)))
    with pytest.raises(Terminal) as caught:
        driver.check()
    assert caught.value.reason is Reason.WRONG_ACCOUNT
    assert ONE in str(caught.value)
    assert TWO in str(caught.value)

    listing = driver.observe(driver.locations()[0])
    assert not listing.complete
    assert listing.instances == ()
    assert emulator.calls("rds") == {}


def test_nothing_is_deleted_with_the_credentials_of_another_account(emulator: Emulator) -> None:
    seed(emulator, ONE)
    right = driver_of(emulator.spec(ONE))
    points = right.observe(right.locations()[0]).points
    seed(emulator, TWO)
    emulator.forget_calls()

    (outcome,) = driver_of(emulator.spec(ONE, role_arn=role_arn(TWO))).delete(points)
    assert outcome.state is not DeleteState.DELETED
    assert emulator.calls("rds") == {}


def test_one_session_serves_all_calls(emulator: Emulator) -> None:
    driver = driver_of(emulator.spec())
    driver.check()
    for _ in range(3):
        assert driver.observe(driver.locations()[0]).complete
    assert emulator.calls("sts") == {"AssumeRole": 1, "GetCallerIdentity": 1}


def test_a_revoked_session_is_renewed_in_the_middle_of_the_work(emulator: Emulator) -> None:
    seed(emulator)
    driver = driver_of(emulator.spec())
    before = driver.observe(driver.locations()[0])
    emulator.own("POST", "sessions/revoke")
    after = driver.observe(driver.locations()[0])
    assert after.complete
    assert after.points == before.points
    emulator.own("POST", "sessions/revoke")
    assert [outcome.state for outcome in driver.delete(after.points)] == [DeleteState.DELETED]


def test_a_role_that_is_taken_away_is_noticed_by_the_next_check(emulator: Emulator) -> None:
    driver = driver_of(emulator.spec())
    driver.check()
    emulator.own("PUT", "roles", {})
    emulator.own("POST", "sessions/revoke")
    with pytest.raises(Terminal) as caught:
        driver.check()
    assert caught.value.reason is Reason.ROLE_REFUSED


def test_a_session_about_to_end_is_replaced_before_it_does(emulator: Emulator) -> None:
    session = session_of(emulator.spec())
    session.prove()
    later = session_of(emulator.spec())
    later._clock = lambda: now() + timedelta(minutes=55)
    later.prove()
    emulator.forget_calls()
    session.rds(REGION)
    assert emulator.calls("sts") == {}
    later.rds(REGION)
    assert emulator.calls("sts")["AssumeRole"] == 1


def test_a_controller_without_credentials_says_so(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CONTROLLER:
        monkeypatch.delenv(name)
    with pytest.raises(Terminal) as caught:
        driver_of(emulator.spec()).check()
    assert caught.value.reason is Reason.CREDENTIALS_MISSING


def test_an_endpoint_in_the_environment_changes_nothing(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    driver_of(emulator.spec()).check()
    without = session_of(emulator.spec(endpoint_url="")).account
    keys = Keys("access", "secret", "token", now())
    assert Identity().rds(without, REGION, keys).meta.endpoint_url == f"https://rds.{REGION}.amazonaws.com"


def test_neither_logs_nor_representations_show_credentials(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session = session_of(emulator.spec())
    session.prove()
    keys = session._keys
    assert keys is not None
    emulator.own("PUT", "roles", {})
    emulator.own("POST", "sessions/revoke")
    with pytest.raises(Terminal) as caught:
        session.prove()
    shown = f"{keys!r} {keys} {caught.value} {caplog.text}"
    for secret in (keys.secret_key, keys.token, keys.access_key, CONTROLLER["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in shown
    assert "Traceback" not in caplog.text
