"""What was signed for the way back counts only where it says what would be said now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.contracts.codec import decode
from fleetward.contracts.robots import RobotTarget, TargetMode
from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP, Rollout, Strategy
from fleetward.trust.signing import TARGET, SigningKey, TrustedKeys
from rollout_coordinator.advance import begun
from rollout_coordinator.giving import given
from rollout_coordinator.returns import Returns
from rollout_coordinator.revert import sent_back
from rollout_coordinator.signed_targets import Signatory
from rollout_coordinator.signing_process import SigningProcess
from rollout_coordinator.step import Step, TargetOrder
from tests.unit.rollout_coordinator.scenes import OLD, START, at, planned, robot

FIRST = robot(1)
LARGE = MAX_TARGETS_PER_STEP + 1
LATER = at(60)


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
    step = sent_back(rollout, [FIRST], LATER)
    return step.rollout, step.targets[0]


async def test_target_signed_beforehand_is_the_one_that_sends_the_robot_back(
    returns: Returns, key: SigningKey
) -> None:
    there = sent_there()
    last = await signed_for(returns, there)

    target = returns.given(*back(there.rollout), last, LATER)
    (signed,) = await returns.signed([target], "trace")

    assert (target.generation, target.digest, target.issued_at) == (6, OLD, START)
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
        returns.given(rollout, elsewhere, last, LATER),
        returns.given(rollout, once_more, last, LATER),
        returns.given(windows, order, last, LATER),
    ]

    assert [target.issued_at for target in made] == [LATER] * 3
    signed = await returns.signed(made, "")
    assert [decode(each.signed.payload, RobotTarget) for each in signed] == made


async def test_targets_signed_before_and_now_keep_their_order(returns: Returns) -> None:
    there = sent_there()
    targets = targets_of(there)
    await signed_for(returns, there)
    step = sent_back(there.rollout, [robot(1), robot(2), robot(3)], LATER)
    first, second, third = (
        returns.given(step.rollout, order, targets[order.robot_id], LATER) for order in step.targets
    )
    second = replace(second, issued_at=LATER)

    signed = await returns.signed([first, second, third], "")

    assert [each.target for each in signed] == [first, second, third]
    assert [decode(each.signed.payload, RobotTarget) for each in signed] == [first, second, third]


async def test_nothing_is_signed_for_a_return_of_one_step(returns: Returns) -> None:
    there = sent_there(LARGE - 1)
    last = await signed_for(returns, there)
    assert returns.given(*back(there.rollout), last, LATER).issued_at == LATER


async def test_robot_that_only_stages_still_serves_what_it_would_go_back_to(
    returns: Returns,
) -> None:
    there = sent_there(strategy=Strategy.BLUE_GREEN)
    last = await signed_for(returns, there)
    assert last.mode is TargetMode.STAGE
    assert returns.given(*back(there.rollout), last, LATER).issued_at == LATER


async def test_nothing_is_signed_beforehand_by_a_process_with_another_key(
    key: SigningKey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is started once for all that is expected, and what is needed is signed here."""
    SigningKey.create(tmp_path / "newer.seed")
    returns = Returns(Signatory(key, SigningProcess(tmp_path / "newer.seed", key)))
    there = sent_there()
    last = await signed_for(returns, there)

    target = returns.given(*back(there.rollout), last, LATER)
    (signed,) = await returns.signed([target], "")

    assert caplog.text.count("signer.refused") == 1
    assert signed.signed.signature == key.sign(TARGET, signed.signed.payload).signature
    await returns.close()
