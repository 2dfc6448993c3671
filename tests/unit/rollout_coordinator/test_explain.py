"""What is said of a rollout and its robots: the fact that did it, and what would move them."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.control import ControlAction
from fleetward.contracts.decisions import RolloutExplained
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy, RolloutState, Strategy
from fleetward.contracts.surroundings import NOTHING_AROUND, SiteRoom, Surroundings
from rollout_coordinator.advance import Fact
from rollout_coordinator.explain import Asked, explained, refused
from rollout_coordinator.moves import moves, robot_moves
from rollout_coordinator.replay import replayed
from rollout_coordinator.step import Tick, with_robots
from tests.unit.rollout_coordinator import scenes, takeover_scenes
from tests.unit.rollout_coordinator.scenes import after, robot, started
from tests.unit.rollout_coordinator.test_replay import Coordinator

R1, R2, R3 = robot(1), robot(2), robot(3)
ONE_OF_TWO_FAILS = RolloutPolicy(bake_s=10, silent_after_s=60, max_error_percent=0)


def told(*facts: tuple[Fact, float], sizes: tuple[int, ...] = (2, 1)) -> Coordinator:
    coordinator = Coordinator(scenes.planned(*sizes, policy=ONE_OF_TWO_FAILS))
    for fact, second in facts:
        coordinator.tell([(fact, scenes.at(second))], second)
    return coordinator


def asked(coordinator: Coordinator, number: int | None = None) -> RolloutExplained:
    question = Asked(
        rollout=coordinator.rollout,
        robot=robot(number) if number else None,
        now=scenes.at(100),
        around=NOTHING_AROUND,
    )
    return explained(question, replayed(coordinator.log))


def test_the_fact_that_halted_a_rollout_is_named_among_those_told_with_it() -> None:
    coordinator = told((scenes.activated(1), 1))
    facts: list[tuple[Fact, float]] = [
        (scenes.summary(1, 2), 2),
        (scenes.failed(2), 3),
        (scenes.summary(1, 4), 4),
    ]
    coordinator.tell([(fact, scenes.at(second)) for fact, second in facts], 5)
    newest = asked(coordinator).why[-1]
    assert (
        newest.cause == "r2 failed to load detector:2 (no such operator) at 2026-01-01 12:00:03 UTC"
    )
    assert newest.effect.startswith("it is reverting: 1 of 2 robots failed: r2")


def test_robot_is_told_what_it_went_through_in_order() -> None:
    coordinator = told((scenes.activated(1), 1), (scenes.silent(1), 2), (Tick(), 70))
    effects = [why.effect for why in asked(coordinator, 1).why]
    assert effects[0] == "it was planned into wave 1 of 2, and was given the model"
    assert effects[1].startswith("targeted before, it is proved")
    assert effects[2].startswith("proved before, it is targeted")
    assert effects[3].startswith(
        "targeted before, it is reverting: it proved the model, and is silent"
    )


def test_facts_about_others_are_not_told_of_a_robot() -> None:
    coordinator = told((scenes.activated(1), 1))
    assert [why.effect for why in asked(coordinator, 3).why] == [
        "it was planned into wave 2 of 2, and waits for it"
    ]


def test_operator_who_paused_is_named() -> None:
    coordinator = told((scenes.asked(ControlAction.PAUSE), 1))
    answer = asked(coordinator)
    assert answer.why[-1].cause == "ann asked at 2026-01-01 12:00:01 UTC to pause it"
    assert answer.moves == (
        "`fleetward rollout resume here` lets it go on.",
        "`fleetward rollout abort here` ends it.",
    )


def test_rollout_whose_log_is_not_whole_is_explained_by_its_state() -> None:
    coordinator = told((scenes.activated(1), 1))
    newer = replace(started(2), rollout_id=RolloutId("elsewhere"))
    question = Asked(coordinator.rollout, R1, scenes.at(9), NOTHING_AROUND, (newer,))
    answer = explained(question, replayed(coordinator.log[1:]))
    assert answer.now == (
        "r1 is proved in wave 1 of 2 of here, which is running. It belongs to rollout elsewhere."
    )
    assert answer.difference == "decision 2: the first decisions are no longer kept"
    assert answer.why == ()


def test_rollout_that_did_not_begin_yet_is_not_called_planned() -> None:
    scheduled = replace(
        scenes.planned(1),
        state=RolloutState.SCHEDULED,
        robots={},
        waves=(),
        begins_at=scenes.at(99),
    )
    assert [why.effect for why in asked(Coordinator(scheduled)).why] == [
        "it was scheduled, to be planned when it begins"
    ]


def test_refused_request_is_explained_by_its_reason() -> None:
    refusal = RolloutRefused(
        rollout_id=scenes.HERE, reason="nobody is selected.", refused_at=scenes.START
    )
    assert refused(refusal).now == (
        "here was refused at 2026-01-01 12:00:00 UTC: nobody is selected."
    )


def test_silence_bake_and_missing_evidence_are_told_with_their_instants() -> None:
    running = started(2, 1)
    assert moves(running, scenes.at(1))[0] == (
        "It waits for word from r1, r2; who did not do what it was asked by then counts as unknown, "
        "the first at 2026-01-01 12:01:00 UTC."
    )
    settled = after(running, (scenes.activated(1), 1), (scenes.activated(2), 2))
    assert moves(settled, scenes.at(3))[0] == (
        "The wave must do well until 2026-01-01 12:00:12 UTC. It lacks evidence: telemetry shows 0 of "
        "at least 10 inferences, and without them it pauses at 2026-01-01 12:01:12 UTC."
    )


def test_robot_belongs_to_no_rollout_that_lost_it_or_succeeded() -> None:
    coordinator = told()
    lost = _in_phase(replace(started(2), rollout_id=RolloutId("older")), RobotPhase.SUPERSEDED)
    proved = takeover_scenes.watched(replace(started(1), rollout_id=RolloutId("watched")), 60)
    owner = replace(started(2), rollout_id=RolloutId("owner"), started_at=scenes.at(9))
    question = Asked(coordinator.rollout, R1, scenes.at(9), NOTHING_AROUND, (lost, proved, owner))
    assert explained(question, ()).now.endswith(" It belongs to rollout owner.")
    assert "belongs" not in explained(replace(question, opened=(lost, proved)), ()).now


def test_rollout_that_waited_and_could_not_begin_says_why() -> None:
    coordinator = Coordinator(replace(scenes.planned(1), state=RolloutState.QUEUED))
    coordinator.give_up("no robot is selected any more", 5)
    for number in (None, 1):
        assert [(each.cause, each.effect) for each in asked(coordinator, number).why[-1:]] == [
            (
                "it was planned anew at 2026-01-01 12:00:05 UTC, and could not begin",
                "the rollout is refused: no robot is selected any more",
            )
        ]


def test_steady_rollout_waits_for_joiners_and_promises_no_moment_of_the_past() -> None:
    baking = replace(after(started(1), (scenes.activated(1), 1)), is_continuous=True)
    steady = replace(baking, steady_since=scenes.at(11))
    assert moves(steady, scenes.at(50))[0] == (
        "It waits for robots that its selector names later; `fleetward rollout finish here` ends it."
    )


def test_wave_that_baked_and_lacks_evidence_says_until_when_it_baked() -> None:
    baking = replace(started(1), baking_since=scenes.at(1))
    assert moves(baking, scenes.at(50))[-2].startswith(
        "The wave baked until 2026-01-01 12:00:11 UTC. It lacks evidence: telemetry shows 0 of"
    )


def test_promoted_wave_lacks_no_evidence_and_a_wave_at_its_gates_does_not_bake() -> None:
    promoted = replace(started(1), baking_since=scenes.at(1), is_promoted=True)
    gated = replace(started(1), baking_since=scenes.at(1), checkpoint="end")
    for rollout in (promoted, gated):
        said = " ".join(moves(rollout, scenes.at(50)))
        assert "lacks evidence" not in said
        assert "must do well" not in said


def test_superseded_robots_count_for_no_threshold_as_when_it_is_halted() -> None:
    lost = _in_phase(started(2, 1), RobotPhase.SUPERSEDED)
    assert "of 1 robot fail" in moves(lost, scenes.at(1))[-1]


def test_watched_success_says_until_when_and_what_would_take_it_back() -> None:
    proved = after(started(1), (scenes.activated(1), 1))
    watched = takeover_scenes.watched(proved, 60)
    assert moves(watched, scenes.at(2)) == (
        "It succeeded, and is watched until 2026-01-01 12:01:00 UTC.",
        "It is taken back when more than 0 % of 1 robot fail (0 did).",
    )
    assert robot_moves(watched, R1, NOTHING_AROUND) == (
        "Nothing, unless it falls back, fails or the rollout is taken back.",
    )
    assert moves(replace(watched, watched_until=None), scenes.at(2)) == ()


def test_nothing_moves_a_rollout_that_ended_or_its_robots() -> None:
    ended = replace(started(1), state=RolloutState.SUCCEEDED)
    assert moves(ended, scenes.at(1)) == ()
    assert robot_moves(ended, R1, NOTHING_AROUND) == ()


def test_every_phase_of_a_robot_says_what_would_change_it() -> None:
    running = started(2, 1)
    said = {
        phase: robot_moves(_in_phase(running, phase), R1, NOTHING_AROUND) for phase in RobotPhase
    }
    assert all(len(sentences) == 1 and sentences[0].endswith(".") for sentences in said.values())
    assert len(set(said.values())) == len(RobotPhase)


def test_robot_whose_site_is_closed_is_told_so() -> None:
    closed = Surroundings(sites={"": SiteRoom(closed="the window of the site is closed")})
    waiting = _in_phase(started(2, 1), RobotPhase.WAITING)
    assert robot_moves(waiting, R1, closed) == (
        "It may not have the model now: the window of the site is closed.",
    )


def test_robot_of_a_rolling_rollout_is_told_that_others_go_first() -> None:
    rolling = started(3, strategy=Strategy.ROLLING)
    assert robot_moves(rolling, R2, NOTHING_AROUND) == (
        "Others go first: at most 1 robot, and 1 of a site, may be on the way at a time.",
    )


def test_robot_of_a_later_wave_is_told_which_is_on() -> None:
    assert robot_moves(started(2, 1), R3, NOTHING_AROUND) == (
        "It is its turn in wave 2 of 2; wave 1 is on.",
    )


def _in_phase(rollout: Rollout, phase: RobotPhase) -> Rollout:
    return with_robots(rollout, {R1: replace(rollout.robots[R1], phase=phase)})


def test_robots_that_an_a_b_rollout_is_compared_to_are_told_that_nothing_comes_to_them() -> None:
    coordinator = Coordinator(scenes.planned(1, 1, strategy=Strategy.A_B))
    question = Asked(coordinator.rollout, R2, scenes.at(1), NOTHING_AROUND)
    answer = explained(question, replayed(coordinator.log))
    (placed,) = answer.why
    assert placed.effect == "it was planned into wave 2 of 2, which keeps what it has"
    assert answer.moves == (
        "Nothing in this rollout: it keeps what it has, and the others are compared to it.",
    )
