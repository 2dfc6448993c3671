"""Each target is signed as its robot verifies it, whoever helps, and whatever becomes of the helper."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetward.contracts.codec import decode
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.signing import TARGET, SigningKey, TrustedKeys
from rollout_coordinator.advance import begun
from rollout_coordinator.signed_targets import HELPED_FROM, SIGNED_AT_ONCE, Signatory, Signed
from rollout_coordinator.signing_process import SigningProcess
from rollout_coordinator.target_of import target_of
from tests.unit.rollout_coordinator.scenes import START, planned

PATIENCE_S, SOON_S = 60.0, 0.5


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "target.seed")


@pytest.fixture
async def helper(tmp_path: Path, key: SigningKey) -> AsyncIterator[SigningProcess]:
    """Another process with the same key, at work."""
    process = SigningProcess(tmp_path / "target.seed", key, answer_timeout_s=PATIENCE_S)
    await process.start()
    yield process
    await process.stop()


def targets(count: int) -> list[RobotTarget]:
    step = begun(planned(max(1, count)), START)
    return [target_of(step.rollout, order, START) for order in step.targets[:count]]


def assert_signed(key: SigningKey, made: tuple[Signed, ...], expected: list[RobotTarget]) -> None:
    trusted = TrustedKeys.of({TARGET: [key.public_bytes]})
    assert [each.target for each in made] == expected
    for each in made:
        written = each.signed
        trusted.verify(TARGET, written.payload, written.key_id, written.signature)
        assert decode(written.payload, RobotTarget) == each.target
        assert written.robot_id == each.target.robot_id
        assert written.traceparent == "trace"


async def test_every_target_is_signed_in_its_order_however_many_there_are(key: SigningKey) -> None:
    every = targets(2 * SIGNED_AT_ONCE + 1)
    for count in (0, 1, SIGNED_AT_ONCE, SIGNED_AT_ONCE + 1, len(every)):
        assert_signed(key, await Signatory(key).signed(every[:count], "trace"), every[:count])


async def test_second_process_signs_a_part_of_many_as_this_one_does(
    key: SigningKey, helper: SigningProcess
) -> None:
    every = targets(HELPED_FROM)
    payloads = [each.signed.payload for each in await Signatory(key).signed(every, "trace")]
    theirs = await helper.signatures(payloads)
    assert theirs == [key.sign(TARGET, payload).signature for payload in payloads]
    assert_signed(key, await Signatory(key, helper).signed(every, "trace"), every)


async def test_many_decisions_at_once_get_each_their_own_signatures(
    key: SigningKey, helper: SigningProcess
) -> None:
    signatory, every = Signatory(key, helper), targets(HELPED_FROM)
    both = await asyncio.gather(
        signatory.signed(every, "trace"), signatory.signed(every[::-1], "trace")
    )
    assert_signed(key, both[0], every)
    assert_signed(key, both[1], every[::-1])


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stuck"])
async def test_all_is_signed_when_the_second_process_is_gone_or_stuck_and_another_comes(
    key: SigningKey, tmp_path: Path, sent: signal.Signals
) -> None:
    helper = SigningProcess(tmp_path / "target.seed", key, answer_timeout_s=SOON_S)
    await helper.start()
    signatory, every = Signatory(key, helper), targets(HELPED_FROM)
    assert helper.pid is not None
    lost = helper.pid
    os.kill(lost, sent)
    assert_signed(key, await signatory.signed(every, "trace"), every)  # without it
    assert_signed(key, await signatory.signed(every, "trace"), every)  # and starts another
    await signatory.started()
    assert helper.pid not in (None, lost)
    with pytest.raises(ProcessLookupError):
        os.kill(lost, 0)
    await signatory.close()


async def test_few_targets_start_no_second_process(key: SigningKey, tmp_path: Path) -> None:
    helper = SigningProcess(tmp_path / "target.seed", key)
    signatory = Signatory(key, helper)
    await signatory.signed(targets(HELPED_FROM - 1), "trace")
    await signatory.started()
    assert await helper.signatures([b""]) is None
    await signatory.signed(targets(HELPED_FROM), "trace")
    await signatory.started()
    assert await helper.signatures([b""]) is not None
    await signatory.close()
    assert await helper.signatures([b""]) is None


async def test_process_with_another_key_signs_nothing(
    key: SigningKey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file was replaced since this process read it."""
    SigningKey.create(tmp_path / "newer.seed")
    helper = SigningProcess(tmp_path / "newer.seed", key)
    await helper.start()
    assert not helper.is_ready
    assert "signer.refused" in caplog.text
    every = targets(HELPED_FROM)
    assert_signed(key, await Signatory(key, helper).signed(every, "trace"), every)
    await helper.stop()
