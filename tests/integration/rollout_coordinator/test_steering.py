"""The command line steers: it waits for its own word, shows what became of it, and refuses in one sentence."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.cli.rollout_control import NotSteerableError, retried, steer
from fleetward.client import Fleet as Client
from fleetward.client.access import Access
from fleetward.client.owners import owners
from fleetward.contracts.control import ControlAction
from fleetward.contracts.rollouts import RolloutState
from fleetward.contracts.rows import Principal
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet

LENIENT = replace(POLICY, wave_percents=(100,), max_error_percent=50, min_success_percent=50)


@pytest.fixture
def person(fleet: Fleet) -> Client:
    """Somebody at the command line."""
    return Client(fleet.people, Access(bus=fleet.system.settings(Principal.OPERATOR)))


async def test_person_retries_who_failed_after_the_end_and_then_rolls_back(
    fleet: Fleet, person: Client
) -> None:
    fleet.robot("paris-1").breaks = DIGESTS["2"]
    wanted = await fleet.ask("r", "2", policy=LENIENT)
    assert (await fleet.ended(wanted)).state is RolloutState.SUCCEEDED
    with pytest.raises(NotSteerableError, match="nothing left to promote"):
        await steer(person, wanted, ControlAction.PROMOTE)

    fleet.robot("paris-1").breaks = None
    again = await retried(person, wanted)
    assert (await fleet.ended(again.rollout_id)).state is RolloutState.SUCCEEDED
    assert set(again.robots) == {fleet.robot("paris-1").robot_id}

    with pytest.raises(
        NotSteerableError, match=f"was given detector:2 by rollout {again.rollout_id}"
    ):
        await steer(person, wanted, ControlAction.ROLLBACK)
    shown = await steer(person, wanted, ControlAction.ROLLBACK, skip=True)
    assert shown.state is RolloutState.REVERTING
    held = (await owners(fleet.people)).values()
    assert {owned.owner for of in held for owned in of.values()} <= {wanted}
    assert (await fleet.ended(wanted)).state is RolloutState.REVERTED
