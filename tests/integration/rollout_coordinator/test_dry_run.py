"""What a dry run shows is what a start then does, and showing it changes nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.bus.publish import publish
from fleetward.bus.requests import answer
from fleetward.client.plans import RolloutPreview, preview
from fleetward.client.rollouts import control
from fleetward.contracts.control import ControlAction
from fleetward.contracts.ids import Digest, ModelRef, RolloutId, Version
from fleetward.contracts.quotes import Quote, QuoteUpdate, UpdateQuoted
from fleetward.contracts.registry import ModelVersion
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollouts import FINAL_STATES, RolloutState, Strategy
from fleetward.contracts.rows import Principal, StreamName
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of
from tests.integration.rollout_coordinator.detector import DIGESTS, record
from tests.integration.rollout_coordinator.fleet import LEASE_S, POLICY, Fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import stored_in

FETCH_BYTES = 5_000_000
LINK_MBPS = 8.0
PRICES = {"4+orin": 1_000_000, "4+thor": 2_000_000}
KINDS = {"berlin-1": "orin", "berlin-2": "thor", "berlin-3": "orin", "paris-1": "thor"}


@pytest.fixture
async def priced(fleet: Fleet, nats_system: NatsSystem) -> Fleet:
    """A registry that has one price for whatever is asked, but variants."""
    registry = await nats_system.connect(Principal.REGISTRY)

    async def quoted(asked: QuoteUpdate) -> UpdateQuoted:
        return UpdateQuoted(
            model=ModelRef(asked.name, asked.version),
            digest=DIGESTS["2"],
            size_bytes=FETCH_BYTES,
            quotes=tuple(
                Quote(fetch_bytes=PRICES.get(asked.version, FETCH_BYTES)) for _ in asked.held
            ),
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


async def publish_variants(fleet: Fleet) -> dict[str, Digest]:
    """Version 4 for two kinds of robot; gives each robot's digest. ``paris-2`` is of neither."""
    known, digests = record(), {"orin": digest_of("d"), "thor": digest_of("e")}
    variants = tuple(
        with_manifest(known.versions[0], f"4+{kind}", digest, f"hw={kind}")
        for kind, digest in digests.items()
    )
    published = replace(known, versions=(*known.versions, *variants))
    await publish(await fleet.system.connect(Principal.REGISTRY), published)
    enroller = await fleet.system.connect(Principal.ENROLLER)
    for robot in fleet.robots:
        labels = {"site": "lab", "hw": KINDS.get(robot.robot_id, "x86")}
        enrolled = RobotEnrolled(
            robot_id=robot.robot_id, labels=labels, enrolled_at=now(), lease_s=LEASE_S
        )
        await publish(enroller, enrolled)
    return {robot: digests[kind] for robot, kind in KINDS.items()}


def with_manifest(one: ModelVersion, name: str, digest: Digest, fits: str) -> ModelVersion:
    model = replace(one.manifest.model, version=Version(name))
    return replace(one, manifest=replace(one.manifest, model=model, digest=digest, fits=fits))


def serving(fleet: Fleet) -> dict[str, Digest | None]:
    return {robot.robot_id: robot.serves for robot in fleet.robots}


async def test_robots_are_given_the_variants_that_the_plan_shows_and_each_returns_to_its_own(
    priced: Fleet,
) -> None:
    own = await publish_variants(priced)

    found = await shown(priced, "all", version="4")
    (misfit,) = found.plan.left_out
    assert misfit.named == ("paris-2",)
    assert misfit.reason.startswith("no variant fits its labels: detector:4+orin is for hw=orin,")
    assert {
        each.variant.model.version: (each.robots, each.fetch_bytes) for each in found.variants
    } == {version: (2, 2 * price) for version, price in PRICES.items()}

    canary = await priced.ended(await priced.ask("variants", "4"))
    assert canary.state is RolloutState.SUCCEEDED
    assert set(canary.robots) == set(own)
    assert serving(priced) == {**own, "paris-2": DIGESTS["1"]}

    plain = await priced.ask("plain", "2")
    await priced.ended(plain)
    assert set(serving(priced).values()) == {DIGESTS["2"]}
    await priced.steer(plain, ControlAction.ROLLBACK)
    await priced.reached(
        plain, lambda held: held.state in FINAL_STATES and held.state is not RolloutState.SUCCEEDED
    )
    assert serving(priced) == {**own, "paris-2": DIGESTS["1"]}
