"""What a dry run shows is what a start then does, and showing it changes nothing."""

from __future__ import annotations

import pytest

from fleetward.bus.requests import answer
from fleetward.client.plans import RolloutPreview, preview
from fleetward.client.rollouts import control
from fleetward.contracts.control import ControlAction
from fleetward.contracts.ids import ModelRef, RolloutId
from fleetward.contracts.quotes import Quote, QuoteUpdate, UpdateQuoted
from fleetward.contracts.rollouts import Strategy
from fleetward.contracts.rows import Principal, StreamName
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.stored import stored_in

FETCH_BYTES = 5_000_000
LINK_MBPS = 8.0


@pytest.fixture
async def priced(fleet: Fleet, nats_system: NatsSystem) -> Fleet:
    """A registry that has one price for whatever is asked."""
    registry = await nats_system.connect(Principal.REGISTRY)

    async def quoted(asked: QuoteUpdate) -> UpdateQuoted:
        return UpdateQuoted(
            model=ModelRef(asked.name, asked.version),
            digest=DIGESTS["2"],
            size_bytes=FETCH_BYTES,
            quotes=tuple(Quote(fetch_bytes=FETCH_BYTES) for _ in asked.held),
        )

    await answer(registry, QuoteUpdate, quoted)
    return fleet


async def shown(
    fleet: Fleet, selector: str, version: str = "2", strategy: Strategy = Strategy.CANARY
) -> RolloutPreview:
    return await preview(
        fleet.people,
        f"detector:{version}",
        selector,
        strategy=strategy,
        policy=POLICY,
        link_mbps=LINK_MBPS,
    )


async def test_the_plan_that_is_shown_is_the_plan_that_is_started(priced: Fleet) -> None:
    selector = "site=berlin or robot=paris-1"
    before = await stored_in(priced.system, StreamName.ROLLOUTS)
    plans = {strategy: await shown(priced, selector, strategy=strategy) for strategy in Strategy}
    assert await stored_in(priced.system, StreamName.ROLLOUTS) == before

    for strategy in (Strategy.BLUE_GREEN, Strategy.CANARY):
        found = plans[strategy].plan
        asked = await priced.ask(f"real-{strategy.value}", "2", selector, strategy)
        started = await priced.answered(asked)
        assert started is not None
        assert [wave.robots for wave in found.waves] == list(started.waves)
        assert (found.model, found.digest) == (started.model, started.digest)
        await abandoned(priced, asked)


async def abandoned(fleet: Fleet, rollout: RolloutId) -> None:
    """Taken back, so that its robots are free again and serve what they did."""
    await control(fleet.people, rollout, ControlAction.ABORT)
    await fleet.ended(rollout)


async def test_a_plan_says_what_moves_how_long_it_takes_and_who_has_the_model_already(
    priced: Fleet,
) -> None:
    await priced.ended(await priced.ask("ahead", "2", "robot=berlin-1"))

    found = await shown(priced, "site=berlin")

    assert found.plan.selected == 3
    (ahead,) = found.plan.left_out
    assert (ahead.reason, ahead.named) == ("was already given detector:2", ("berlin-1",))
    assert found.forecast is not None
    assert [wave.fetch_bytes for wave in found.forecast.waves] == [FETCH_BYTES] * 2
    assert found.forecast.waves[0].fetch_s == 5.0
    assert any("the median of 2 earlier" in said for said in found.forecast.assumptions)


async def test_an_unsatisfiable_plan_is_refused_as_its_start_would_be(priced: Fleet) -> None:
    nowhere = await shown(priced, "site=mars")
    assert nowhere.plan.refusal == await priced.refusal(await priced.ask("r1", "2", "site=mars"))
    assert nowhere.forecast is None

    owner = await priced.answered(await priced.ask("owner", "2"))
    assert owner is not None
    owned = await shown(priced, "all", version="3")
    assert f"belongs to rollout {owner.rollout_id}" in owned.plan.refusal
    assert owned.plan.left_out[0].robots == len(priced.robots)
