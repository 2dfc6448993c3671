"""What was signed for the way back counts only where it says what would be said now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.converging.together import are_one_set
from fleetward.contracts.codec import decode
from fleetward.contracts.robots import RobotTarget, TargetMode
from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP, Rollout, RolloutState, Strategy
from fleetward.trust.signing import TARGET, SigningKey, TrustedKeys
from rollout_coordinator.advance import begun
from rollout_coordinator.giving import given
from rollout_coordinator.returns import LATER, Returns
from rollout_coordinator.revert import sent_back
from rollout_coordinator.signed_targets import Signatory
from rollout_coordinator.signing_process import SigningProcess
from rollout_coordinator.step import Step, TargetOrder
from tests.unit.rollout_coordinator.scenes import OLD, START, at, planned, robot
from tests.unit.rollout_coordinator.set_scenes import planned_set

FIRST = robot(1)
LARGE = MAX_TARGETS_PER_STEP + 1
NOW = at(60)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "target.seed")


@pytest.fixture
async def returns(tmp_path: Path, key: SigningKey) -> AsyncIterator[Returns]:
    returns = Returns(Signatory(key, SigningProcess(tmp_path / "target.seed", key)))
    yield returns
    await returns.close()


def sent_there(robots: int = LARGE, strategy: Strategy = Strategy.CANARY) -> Step:
    return begun(planned(robots, strategy=strategy), START)


def targets_of(step: Step) -> dict[str, RobotTarget]:
    return {each.robot_id: given(step.rollout, each, None, START) for each in step.targets}


async def signed_for(returns: Returns, step: Step) -> RobotTarget:
    """What the first robot was given, once all that can be is signed for the way back."""
    targets = targets_of(step)
    returns.expect(step.rollout, list(targets.values()))
    returns.begin()
    await returns.ready()
    return targets[FIRST]


def back(rollout: Rollout) -> tuple[Rollout, TargetOrder]:
    """What the rollout becomes when the first robot is sent back later, and its order."""
    step = sent_back(rollout, [FIRST], NOW)
    return step.rollout, step.targets[0]


async def test_target_signed_beforehand_is_the_one_that_sends_the_robot_back(
    returns: Returns, key: SigningKey
) -> None:
    there = sent_there()
    last = await signed_for(returns, there)

    target = returns.given(*back(there.rollout), last, NOW)
    (signed,) = await returns.signed([target], "trace")

    assert (target.generation, target.digest, target.issued_at) == (6, OLD, START + LATER)
    trusted = TrustedKeys.of({TARGET: [key.public_bytes]})
    trusted.verify(TARGET, signed.signed.payload, signed.signed.key_id, signed.signed.signature)
    assert decode(signed.signed.payload, RobotTarget) == target == signed.target


async def test_another_way_back_than_was_signed_is_signed_anew(returns: Returns) -> None:
    there = sent_there()
    last = await signed_for(returns, there)
    rollout, order = back(there.rollout)
    elsewhere = replace(order, digest=last.digest)
    once_more = replace(order, generation=order.generation + 1)
    windows = replace(rollout, policy=replace(rollout.policy, health_window_s=77))

    made = [
        returns.given(rollout, elsewhere, last, NOW),
        returns.given(rollout, once_more, last, NOW),
        returns.given(windows, order, last, NOW),
    ]

    assert [target.issued_at for target in made] == [NOW] * 3
    signed = await returns.signed(made, "")
    assert [decode(each.signed.payload, RobotTarget) for each in signed] == made


async def test_targets_signed_before_and_now_keep_their_order(returns: Returns) -> None:
    there = sent_there()
    targets = targets_of(there)
    await signed_for(returns, there)
    step = sent_back(there.rollout, [robot(1), robot(2), robot(3)], NOW)
    first, second, third = (
        returns.given(step.rollout, order, targets[order.robot_id], NOW) for order in step.targets
    )
    second = replace(second, issued_at=NOW)

    signed = await returns.signed([first, second, third], "")

    assert [each.target for each in signed] == [first, second, third]
    assert [decode(each.signed.payload, RobotTarget) for each in signed] == [first, second, third]


async def test_no_way_back_is_signed_any_more_once_the_rollout_is_on_it(returns: Returns) -> None:
    there = sent_there()
    targets = targets_of(there)
    returns.expect(there.rollout, list(targets.values()))
    returns.expect(replace(there.rollout, state=RolloutState.REVERTING), [])
    returns.begin()
    await returns.ready()
    assert returns.given(*back(there.rollout), targets[FIRST], NOW).issued_at == NOW


async def test_models_that_switch_together_know_their_way_back_from_the_way_there(
    returns: Returns,
) -> None:
    plan = planned_set()
    (held,) = plan.robots.values()
    names = [robot(number) for number in range(1, LARGE + 1)]
    there = begun(replace(plan, waves=(tuple(names),), robots=dict.fromkeys(names, held)), START)
    last = await signed_for(returns, there)

    target = returns.given(*back(there.rollout), last, NOW)

    assert target.issued_at == START + LATER
    one, other = last.entries
    assert are_one_set(one, other)
    assert not any(are_one_set(there, back) for there in last.entries for back in target.entries)


async def test_nothing_is_signed_for_a_return_of_one_step(returns: Returns) -> None:
    there = sent_there(LARGE - 1)
    last = await signed_for(returns, there)
    assert returns.given(*back(there.rollout), last, NOW).issued_at == NOW


async def test_robot_that_only_stages_still_serves_what_it_would_go_back_to(
    returns: Returns,
) -> None:
    there = sent_there(strategy=Strategy.BLUE_GREEN)
    last = await signed_for(returns, there)
    assert last.mode is TargetMode.STAGE
    assert returns.given(*back(there.rollout), last, NOW).issued_at == NOW


async def test_nothing_is_signed_beforehand_by_a_process_with_another_key(
    key: SigningKey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is started once for all that is expected, and what is needed is signed here."""
    SigningKey.create(tmp_path / "newer.seed")
    returns = Returns(Signatory(key, SigningProcess(tmp_path / "newer.seed", key)))
    there = sent_there()
    last = await signed_for(returns, there)
    returns.begin()
    await returns.ready()

    target = returns.given(*back(there.rollout), last, NOW)
    (signed,) = await returns.signed([target], "")

    assert caplog.text.count("signer.refused") == 1
    assert signed.signed.signature == key.sign(TARGET, signed.signed.payload).signature
    await returns.close()
