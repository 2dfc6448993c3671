"""One robot's alerts from its first frame to silence and back."""

from __future__ import annotations

from fleetward.contracts.alerts import AlertFired, Severity
from fleetward.contracts.ids import AlertName, RobotId
from fleetward.rules.incidents import Incident, restore
from testkit.telemetry import digest_of
from tests.unit.alerting.fleets import at, feed, fleet, kinds, rulebook, slow_frame

R1 = RobotId("r1")
SLOW = AlertName("Slow")


def frames(first: int, last: int, value: float, **options: object) -> list:  # type: ignore[type-arg]  # frames
    return [slow_frame(number, value, **options) for number in range(first, last + 1)]  # type: ignore[arg-type]  # passed on


def test_a_breach_fires_once_it_lasted_and_resolves_once_it_is_gone() -> None:
    one = fleet()
    fired = feed(one, frames(1, 12, 0.3))
    assert kinds(fired) == ["r1:Slow:1:fired"]
    event = fired[0].event
    assert isinstance(event, AlertFired)
    assert (event.severity, event.value, event.summary) == (Severity.CRITICAL, 0.3, "r1 at 0.3")
    assert event.pending_since == at(0.2)
    assert event.fired_at == at(1.2)
    assert kinds(feed(one, frames(13, 40, 0.02))) == ["r1:Slow:1:resolved"]
    assert kinds(feed(one, frames(41, 80, 0.3))) == ["r1:Slow:2:fired"]


def test_one_slow_sample_is_no_alert() -> None:
    values = [0.02] * 8 + [3.0] + [0.02] * 20
    arrived = [slow_frame(number, value) for number, value in enumerate(values, 1)]
    assert feed(fleet(), arrived) == []


def test_the_alert_names_the_digest_of_the_samples_that_broke_the_rule() -> None:
    (fired,) = feed(fleet(), frames(1, 12, 0.3, attributes={"digest": digest_of("a")}))
    assert fired.fired.digest == digest_of("a")


def test_a_second_bad_model_is_announced_although_the_alert_is_open() -> None:
    one = fleet()
    feed(one, frames(1, 12, 0.3, attributes={"digest": digest_of("a")}))
    then = feed(one, frames(13, 24, 0.4, attributes={"digest": digest_of("b")}))
    assert kinds(then) == ["r1:Slow:1:resolved", "r1:Slow:2:fired"]
    assert then[1].fired.digest == digest_of("b")


def test_a_model_that_left_no_longer_breaks_the_rule() -> None:
    one = fleet()
    feed(one, frames(1, 12, 0.3, attributes={"digest": digest_of("a")}))
    then = feed(one, frames(13, 40, 0.02, attributes={"digest": digest_of("b")}))
    assert kinds(then) == ["r1:Slow:1:resolved"]


def test_an_attribute_cannot_pose_as_another_robot() -> None:
    (fired,) = feed(fleet(), frames(1, 12, 0.3, attributes={"robot": "r2"}))
    assert fired.event.robot_id == "r1"
    assert fired.fired.labels["robot"] == "r1"
    assert fired.fired.labels["exported_robot"] == "r2"


def test_silent_robot_does_not_resolve_its_own_alert() -> None:
    one = fleet()
    feed(one, frames(1, 12, 0.3))
    silent = one.fall_silent(R1, at(60), 60.0)
    assert kinds(silent) == ["r1:Slow:1:became_unknown", "r1:RobotSilent:1:fired"]
    assert silent[1].fired.pending_since == at(2.95)


def test_a_robot_that_returns_still_slow_fires_anew_and_a_healthy_one_resolves() -> None:
    for value, expected in ((0.3, "r1:Slow:2:fired"), (0.02, "r1:Slow:1:resolved")):
        one = fleet()
        feed(one, frames(1, 12, 0.3))
        one.fall_silent(R1, at(60), 60.0)
        back = [slow_frame(n, value, start_s=60 + n / 4) for n in range(13, 30)]
        assert kinds(feed(one, back)) == ["r1:RobotSilent:1:resolved", expected]


def restored_open() -> dict[tuple[RobotId, AlertName], Incident]:
    (fired,) = feed(fleet(), frames(1, 12, 0.3))
    return restore([fired.fired], [], [])


def test_after_a_restart_a_lasting_breach_is_not_announced_again() -> None:
    again = fleet(incidents=restored_open())
    assert kinds(feed(again, frames(1, 60, 0.3))) == []


def test_after_a_restart_an_alert_resolves_only_on_fresh_windows() -> None:
    again = fleet(incidents=restored_open())
    announced = feed(again, frames(1, 60, 0.02))
    assert kinds(announced) == ["r1:Slow:1:resolved"]
    assert announced[0].event.resolved_at >= at(3.2)  # type: ignore[union-attr]  # AlertResolved


def test_a_clock_set_back_starts_the_windows_afresh() -> None:
    one = fleet()
    feed(one, frames(1, 3, 0.3, boot="b1"))
    later = [slow_frame(n, 0.3, boot="b2", start_s=-3600 + n / 4) for n in range(1, 12)]
    assert kinds(feed(one, later)) == ["r1:Slow:1:fired"]


def test_a_removed_rule_resolves_what_it_had_open_and_a_kept_one_goes_on() -> None:
    other = "groups: [{name: g, rules: [{alert: Other, expr: link_rtt_seconds > 1}]}]"
    one = fleet()
    feed(one, frames(1, 12, 0.3))
    assert one.replace_rules(rulebook(), at(10)) == []
    assert feed(one, frames(13, 30, 0.3)) == []
    assert kinds(one.replace_rules(rulebook(other), at(20))) == ["r1:Slow:1:resolved"]


def test_a_rule_that_cannot_pair_its_series_is_reported_and_the_others_judged() -> None:
    book = rulebook("""
groups:
  - name: g
    rules:
      - {alert: Pairs, expr: model_inference_duration_seconds / on(robot) model_inference_duration_seconds > 0}
      - {alert: Plain, expr: model_inference_duration_seconds > 0.1}
""")
    one = fleet(book)
    feed(one, [slow_frame(1, 0.3, attributes={"digest": digest_of("a")})])
    announced = feed(one, [slow_frame(2, 0.3, attributes={"digest": digest_of("b")})])
    assert "r1:Plain:2:fired" in kinds(announced)
    ((robot, alert, reason),) = one.failures()
    assert (robot, alert) == ("r1", "Pairs")
    assert "match on more labels" in reason
