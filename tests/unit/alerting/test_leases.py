"""Leases: silence is called once, never for what alerting itself missed."""

from __future__ import annotations

from alerting.silence import Leases, SilenceLimits
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.rules.incidents import restore
from tests.unit.alerting.fleets import SILENCE, at, feed, fleet, kinds, slow_frame

LIMITS = SilenceLimits(reconnect_grace_s=10.0, first_contact_s=60.0)
R1, R2 = RobotId("r1"), RobotId("r2")


def heard(*robots: RobotId) -> Leases:
    leases = Leases(LIMITS, 0.0)
    for robot in robots:
        leases.enrol(robot, 5.0, 0.0, known=True)
        leases.heard_live(robot, 0.0)
    return leases


def expired_at(leases: Leases, until_s: float) -> dict[RobotId, float]:
    """When each robot is called silent, looking four times a second."""
    found: dict[RobotId, float] = {}
    for quarter in range(int(until_s * 4) + 1):
        for robot in leases.expired(quarter / 4):
            leases.call_silent(robot)
            assert robot not in found
            found[robot] = quarter / 4
    return found


def test_a_silent_robot_is_called_so_once_within_a_second_of_its_lease() -> None:
    assert expired_at(heard(R1), 60) == {R1: 5.0}


def test_a_robot_that_was_taken_out_of_the_fleet_is_not_called_silent() -> None:
    one = fleet(robots=("r1", "r2"))
    out = RobotEnrolled(robot_id=R1, enrolled_at=at(0), retired_at=at(1))
    one.enrol(out, 1.0, known=True)
    assert expired_at(one.leases, 60) == {R2: 5.0 + SILENCE.reconnect_grace_s}


def test_one_that_talks_is_not_called_silent() -> None:
    leases = heard(R1, R2)
    for quarter in range(200):
        leases.heard_frame(R2, at(quarter / 4), quarter / 4)
        for robot in leases.expired(quarter / 4):
            assert robot == R1
            leases.call_silent(robot)


def test_a_robot_never_heard_of_gets_time_for_its_first_contact() -> None:
    leases = Leases(LIMITS, 0.0)
    leases.enrol(R1, 5.0, 0.0, known=False)
    assert expired_at(leases, 70) == {R1: 65.0}


def test_time_in_which_nobody_looked_does_not_count() -> None:
    leases = heard(R1)
    leases.expired(1.0)
    assert leases.expired(100.0) == []
    assert leases.expired(101.0) == []


def test_an_outage_and_its_grace_extend_every_lease() -> None:
    leases = heard(R1, R2)
    leases.expired(1.0)
    leases.excuse(30.0, 31.0)
    assert leases.expired(31.5) == []
    assert leases.expired(32.5) == []
    leases.heard_live(R2, 33.0)
    assert leases.expired(33.5) == []


def test_a_frame_delivered_again_is_no_sign_of_life() -> None:
    leases = heard(R1)
    assert leases.heard_frame(R1, at(1), 1.0) is False
    leases.call_silent(R1)
    assert leases.heard_frame(R1, at(1), 20.0) is False
    assert leases.heard_frame(R1, at(2), 21.0) is True


def test_a_robot_silent_before_a_restart_is_not_called_so_again() -> None:
    one = fleet()
    feed(one, [slow_frame(1, 0.02)])
    (fired,) = one.fall_silent(R1, at(10), 10.0)
    again = fleet(incidents=restore([fired.fired], [], []))
    assert [again.leases.expired(step / 2) for step in range(60)] == [[]] * 60
    assert kinds(again.heard_live(R1, at(60), 60.0)) == ["r1:RobotSilent:1:resolved"]
    (second,) = again.fall_silent(R1, at(90), 90.0)
    assert second.id == "r1:RobotSilent:2:fired"


def test_a_robot_unknown_to_the_inventory_has_no_lease() -> None:
    assert heard().heard_live(R1, 1.0) is False
