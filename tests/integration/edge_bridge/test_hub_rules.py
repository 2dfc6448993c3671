"""The rules that the hub sends, on a real server and in a real bridge: taken, kept, refused, followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.converging.health import HealthBounds
from edge_bridge.rules import judging
from edge_bridge.rules.settings import RuleSettings
from fleetward.bus.publish import publish
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import ModelActivated, ModelFellBack, RobotCheckedIn
from fleetward.contracts.rows import Principal
from fleetward.contracts.rule_sets import RuleSet, RuleSetSigned, RuleSource, RulesStanding
from fleetward.rules.compilation import compile_rulebook
from fleetward.rules.rule_sets import compiled, critical, digest_of
from fleetward.trust.roles import ROOT, RULES
from fleetward.trust.signing import RULE_SET, TARGET
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

STRICT = """
groups:
  - name: own
    rules:
      - alert: OneFailed
        expr: sum_over_time(model_inference_errors[10s]) >= 1
        labels: {severity: critical}
        annotations: {summary: "one inference failed on {{ $labels.robot }}"}
"""
LENIENT = STRICT.replace(">= 1", ">= 1000000")
PATIENT = HealthBounds(min_inferences=10_000)
"""So that nothing but a rule takes a model back."""
LOOKBACK_S = 300.0


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def set_of(text: str, revision: int) -> RuleSet:
    rules = compiled(critical(compile_rulebook([("own.yml", text.encode())])))
    now = datetime.now(timezone.utc)
    return RuleSet(revision=revision, lookback_s=LOOKBACK_S, rules=rules, issued_at=now)


def digest(text: str) -> Digest:
    return digest_of(set_of(text, 1).rules, LOOKBACK_S)


def signed(fleet: Fleet, text: str, revision: int, key: str = RULE_SET) -> RuleSetSigned:
    payload = encode(set_of(text, revision))
    signature = fleet.sign(key, payload)
    return RuleSetSigned(payload=payload, key_id=signature.key_id, signature=signature.signature)


async def send(fleet: Fleet, sent: RuleSetSigned) -> None:
    await publish(await fleet.system.connect(Principal.ALERTING), sent)


async def judges_by(fleet: Fleet, text: str, trouble: str = "") -> RulesStanding:
    """Until the robot says that it judges itself by these, and has this to say about others."""
    wanted = digest(text)

    def does(fact: RobotCheckedIn) -> bool:
        rules = fact.rules
        return rules is not None and rules.digest == wanted and trouble in rules.trouble

    said = (await fleet.hears(RobotCheckedIn, does)).rules
    assert said is not None
    return said


async def test_a_robot_judges_by_what_the_hub_sends_and_follows_its_changes(fleet: Fleet) -> None:
    await send(fleet, signed(fleet, LENIENT, 5))
    async with Bridge(fleet.settings(), source=Camera()):
        first = await judges_by(fleet, LENIENT)
        assert (first.source, first.rules, first.revision) == (RuleSource.HUB, 1, 5)
        await send(fleet, signed(fleet, STRICT, 6))
        assert (await judges_by(fleet, STRICT)).revision == 6


async def test_what_the_hub_sent_takes_a_model_back_when_the_hub_is_gone(
    fleet: Fleet,
) -> None:
    first = tiny_models.brightness(fleet.directory, "v1")
    failing = tiny_models.failing(fleet.directory, "v2", on_black=False)
    fleet.publish_model(first)
    fleet.publish_model(failing)
    await send(fleet, signed(fleet, STRICT, 5))
    camera, settings = Camera(), fleet.settings(health=PATIENT, proof_timeout_s=WAIT_S)
    async with Bridge(settings, source=camera):
        await judges_by(fleet, STRICT)
        await fleet.aim(first, 1)
        await fleet.hears(ModelActivated)
    async with Bridge(settings, source=camera) as bridge:
        await fleet.aim(failing, 2, health_window_s=600, proof_inferences=2)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 2)
        await fleet.system.kill()
        camera.brightness = 255
        async with asyncio.timeout(WAIT_S):
            while not bridge.active or bridge.active.digest != first.digest:  # noqa: ASYNC110 (who would tell is dead)
                await asyncio.sleep(0.05)
        await fleet.system.restart()
        fell = await fleet.hears(ModelFellBack)
        assert fell.reason == "rule OneFailed: one inference failed on r1"


class Fired(logging.Handler):
    """Hears that a rule fires on the robot, from whatever thread."""

    def __init__(self, alert: str) -> None:
        super().__init__()
        self._said = f"rules.fired (alert={alert})"
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == self._said:
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await asyncio.wait_for(self._event.wait(), WAIT_S)


async def test_a_rule_for_some_labels_is_judged_by_those_that_the_hub_knows(fleet: Fleet) -> None:
    """Nobody told the robot where it is."""
    fleet.authority.labels = {"site": "berlin"}
    failing = tiny_models.failing(fleet.directory, "v1", on_black=False)
    fleet.publish_model(failing)
    await send(fleet, signed(fleet, STRICT.replace("errors[", 'errors{site="berlin"}['), 5))
    camera, fired = Camera(), Fired("OneFailed")
    logging.getLogger(judging.__name__).addHandler(fired)
    try:
        async with Bridge(fleet.settings(health=PATIENT), source=camera):
            await fleet.aim(failing, 1)
            await fleet.hears(ModelActivated)
            camera.brightness = 255
            await fired.wait()
    finally:
        logging.getLogger(judging.__name__).removeHandler(fired)


async def test_a_bridge_that_starts_without_its_hub_judges_by_what_it_kept(fleet: Fleet) -> None:
    failing = tiny_models.failing(fleet.directory, "v1", on_black=False)
    fleet.publish_model(failing)
    await send(fleet, signed(fleet, STRICT, 5))
    camera, settings = Camera(), fleet.settings(health=PATIENT)
    async with Bridge(settings, source=camera):
        await judges_by(fleet, STRICT)
        await fleet.aim(failing, 1)
        await fleet.hears(ModelActivated)
    await fleet.system.kill()
    fleet.heard.clear()
    fired = Fired("OneFailed")
    logging.getLogger(judging.__name__).addHandler(fired)
    try:
        async with Bridge(settings, source=camera):
            camera.brightness = 255
            await fired.wait()
            await fleet.system.restart()
            assert (await judges_by(fleet, STRICT)).revision == 5
    finally:
        logging.getLogger(judging.__name__).removeHandler(fired)


@pytest.mark.parametrize("key", [TARGET, "older"])
async def test_a_forged_or_an_older_set_is_refused_and_the_robot_says_so(
    fleet: Fleet, key: str
) -> None:
    await send(fleet, signed(fleet, STRICT, 5))
    async with Bridge(fleet.settings(), source=Camera()):
        await judges_by(fleet, STRICT)
        if key == "older":
            await send(fleet, signed(fleet, LENIENT, 4))
            refusal = "the rules of revision 4 are older"
        else:
            await send(fleet, signed(fleet, LENIENT, 6, key))
            refusal = "is not trusted for 'rule-set'"
        assert (await judges_by(fleet, STRICT, refusal)).revision == 5
        await send(fleet, signed(fleet, LENIENT, 7))
        assert (await judges_by(fleet, LENIENT)).trouble == ""


async def test_a_rotated_key_is_believed_once_its_first_set_comes(fleet: Fleet) -> None:
    await send(fleet, signed(fleet, STRICT, 50))
    async with Bridge(fleet.settings(), source=Camera()):
        await judges_by(fleet, STRICT)
        successor = fleet.authority.new_key()
        fleet.authority.rotate({RULES: [successor]}, fleet.authority.keys[ROOT][:2])
        payload = encode(set_of(LENIENT, 3))
        signature = successor.sign(RULE_SET, payload)
        await send(
            fleet,
            RuleSetSigned(payload=payload, key_id=signature.key_id, signature=signature.signature),
        )
        assert (await judges_by(fleet, LENIENT)).revision == 3, "the floor was the old key's"


async def test_a_file_of_the_robots_own_wins_over_the_hubs_and_the_robot_says_so(
    fleet: Fleet,
) -> None:
    await send(fleet, signed(fleet, LENIENT, 5))
    path = fleet.directory / "own.yml"
    path.write_text(STRICT)
    async with Bridge(fleet.settings(rules=RuleSettings(path=path)), source=Camera()):
        said = await judges_by(fleet, STRICT)
        assert (said.source, said.revision) == (RuleSource.FILE, 0)


async def test_a_hub_that_sends_no_rules_has_robots_that_judge_by_none(fleet: Fleet) -> None:
    async with Bridge(fleet.settings(), source=Camera()):
        said = await fleet.hears(RobotCheckedIn, lambda fact: fact.sequence > 3)
        assert said.rules == RulesStanding(source=RuleSource.HUB)
