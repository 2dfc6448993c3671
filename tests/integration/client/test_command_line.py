"""The command line's answers and exit codes on a running system, as a pipeline sees them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from nats.aio.client import Client

from fleetward.bus.publish import publish
from fleetward.cli.exits import Exit
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import RolloutState
from testkit.command_line import Ran, run
from testkit.servers import NatsSystem
from tests.integration.client.rollouts import rollout

HomeOf = Callable[[NatsSystem], Path]


@pytest.fixture
def home(shared_nats_system: NatsSystem, home_of: HomeOf) -> Path:
    return home_of(shared_nats_system)


@pytest.fixture
def wanted() -> str:
    """A rollout id that no other test uses."""
    return f"r-{uuid4().hex[:10]}"


async def fleetward(home: Path, *arguments: str) -> Ran:
    """Run the command on the system of ``home``."""
    return await run({"FLEETWARD_HOME": str(home)}, *arguments)


@pytest.mark.parametrize(
    ("state", "code"),
    [(RolloutState.SUCCEEDED, 0), (RolloutState.REVERTED, 4), (RolloutState.ABORTED, 5)],
)
async def test_waiting_ends_with_the_code_of_the_rollouts_end(
    home: Path, coordinator: Client, wanted: str, state: RolloutState, code: int
) -> None:
    await publish(coordinator, rollout(wanted, state=state))

    ran = await fleetward(home, "rollout", "wait", wanted, "--json")

    assert ran.code == code
    assert json.loads(ran.output)["state"] == state.value


async def test_waiting_too_long_ends_with_code_6(
    home: Path, coordinator: Client, wanted: str
) -> None:
    await publish(coordinator, rollout(wanted))

    ran = await fleetward(home, "rollout", "wait", wanted, "--timeout", "100ms")

    assert ran.code == Exit.TIMED_OUT
    assert "it goes on" in ran.complaint


async def test_watching_prints_a_line_for_each_change(
    home: Path, coordinator: Client, wanted: str
) -> None:
    await publish(coordinator, rollout(wanted, revision=1))
    watching = asyncio.ensure_future(fleetward(home, "rollout", "watch", wanted))
    await asyncio.sleep(0)
    await publish(coordinator, rollout(wanted, 2, RolloutState.SUCCEEDED))

    ran = await watching

    assert ran.code == Exit.OK
    assert ran.output.splitlines()[-1].startswith(f"{wanted} detector:2.0 succeeded wave 1/1")


async def test_steering_returns_when_the_rollout_has_obeyed(
    home: Path, coordinator: Client, wanted: str
) -> None:
    await publish(coordinator, rollout(wanted))
    pausing = asyncio.ensure_future(fleetward(home, "rollout", "pause", wanted, "--json"))
    await asyncio.sleep(0)
    await publish(coordinator, rollout(wanted, 2, RolloutState.PAUSED))

    ran = await pausing

    assert (ran.code, json.loads(ran.output)["state"]) == (Exit.OK, "paused")


async def test_what_has_ended_is_not_steered(home: Path, coordinator: Client, wanted: str) -> None:
    await publish(coordinator, rollout(wanted, state=RolloutState.ABORTED))

    resumed = await fleetward(home, "rollout", "resume", wanted)
    aborted = await fleetward(home, "rollout", "abort", wanted)

    assert resumed.code == Exit.FAILED
    assert "has ended, aborted: there is nothing left to resume" in resumed.complaint
    assert (aborted.code, aborted.complaint) == (Exit.OK, "")


async def test_status_and_list_show_the_rollout(
    home: Path, coordinator: Client, wanted: str
) -> None:
    await publish(coordinator, rollout(wanted))

    status, listed = await asyncio.gather(
        fleetward(home, "rollout", "status", wanted), fleetward(home, "rollout", "list", "--json")
    )

    assert "arm-1 targeted" in status.output
    assert wanted in {entry["rollout_id"] for entry in json.loads(listed.output)}


async def test_a_refused_rollout_ends_with_code_1_and_the_reason(
    home: Path, coordinator: Client, wanted: str
) -> None:
    reason = "No robot has site=mars. See `fleetward robot list`."
    refused = RolloutRefused(
        rollout_id=RolloutId(wanted), reason=reason, refused_at=datetime.now(timezone.utc)
    )
    await publish(coordinator, refused)

    ran = await fleetward(home, "rollout", "status", wanted)

    assert (ran.code, ran.complaint) == (Exit.FAILED, f"fleetward: {reason}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["rollout", "status", "r-nobody"], Exit.FAILED, "No rollout has the id r-nobody"),
        (["rollout", "status", "Not An Id"], Exit.USAGE, "rollout id 'Not An Id' is not valid"),
        (["rollout", "pause", "r-nobody"], Exit.FAILED, "No rollout has the id r-nobody"),
        (["rollout", "start", "detector", "--to", "all"], Exit.USAGE, "write name:version"),
        (
            ["rollout", "start", "d:1", "--to", "all", "--waves", "50,20"],
            Exit.USAGE,
            "wave percents [50, 20] are not valid",
        ),
        (
            ["rollout", "start", "d:1", "--to", "all", "--bake", "30d"],
            Exit.USAGE,
            "policy bake_s is 2592000.0; it must be from 0 to 604800",
        ),
        (["model", "show", "nobody:1.0"], Exit.FAILED, "No model is named nobody"),
        (["model", "alias", "nobody", "1.0"], Exit.USAGE, "write name@alias"),
        (
            ["model", "push", "/nowhere.onnx", "--name", "m", "--version", "1"],
            Exit.FAILED,
            "/nowhere.onnx cannot be read: No such file",
        ),
        (
            ["model", "push", sys.executable, "--name", "m", "--version", "1"],
            Exit.UNREACHABLE,
            "model-registry did not answer",
        ),
        (["telemetry", "query", "link.rtt"], Exit.UNREACHABLE, "telemetry-ingest did not answer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_what_goes_wrong_is_said_in_one_line(
    home: Path, arguments: list[str], code: Exit, words: str
) -> None:
    ran = await fleetward(home, *arguments)

    assert ran.code == code
    assert ran.output == ""
    assert words in ran.complaint
    assert len(ran.complaint.splitlines()) == 1


async def test_a_selector_that_cannot_be_read_is_a_wrong_command_line_and_pointed_at(
    home: Path,
) -> None:
    ran = await fleetward(home, "rollout", "start", "detector:1.0", "--to", "site=lab and (")

    assert (ran.code, ran.output) == (Exit.USAGE, "")
    assert ran.complaint.splitlines()[1:3] == ["site=lab and (", " " * 14 + "^"]


async def test_lists_of_an_empty_system_say_so(nats_system: NatsSystem, home_of: HomeOf) -> None:
    home = home_of(nats_system)
    nouns = ["model", "rollout", "robot", "alert"]

    spoken = [await fleetward(home, noun, "list") for noun in nouns[:2]]
    as_json = [await fleetward(home, noun, "list", "--json") for noun in nouns]

    assert all(ran.code == Exit.OK and ran.output.startswith("No ") for ran in spoken)
    assert [json.loads(ran.output) for ran in as_json] == [[], [], [], []]


async def test_a_command_finds_the_system_of_a_directory_above(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = home / "robots" / "arm"
    below.mkdir(parents=True)
    (home / ".fleetward").symlink_to(home)
    monkeypatch.delenv("FLEETWARD_HOME", raising=False)

    ran = await run({}, "alert", "list", directory=below)

    assert (ran.code, ran.output[:8]) == (Exit.OK, "No alert")


async def test_provisioning_again_changes_nothing(home: Path) -> None:
    ran = await fleetward(home, "provision")

    assert ran.code == Exit.OK
    assert "streams and" in ran.output


async def test_a_sites_policy_is_set_shown_listed_and_removed(home: Path) -> None:
    site = f"s-{uuid4().hex[:10]}"
    window = "mon-fri 02:00+3h Europe/Berlin"
    setting = ("site", "set", site, "--floor", "3", "--floor-percent", "60", "--window", window)

    done = await fleetward(home, *setting, "--by", "ann", "--json")
    shown = await fleetward(home, "site", "show", site)
    listed = await fleetward(home, "site", "list", "--json")
    removed = await fleetward(home, "site", "remove", site)
    again = await fleetward(home, "site", "remove", site)

    assert [ran.code for ran in (done, shown, listed, removed)] == [Exit.OK] * 4
    assert f"No robot has the label site={site} yet" in done.complaint
    policy = json.loads(done.output)
    assert (policy["floor"], policy["floor_percent"], policy["set_by"]) == (3, 60.0, "ann")
    assert policy["windows"][0] == {
        "days": ["mon", "tue", "wed", "thu", "fri"],
        "start": "02:00",
        "duration_s": 10_800.0,
        "zone": "Europe/Berlin",
    }
    assert "window   mon,tue,wed,thu,fri 02:00+3h Europe/Berlin" in shown.output
    assert site in [each["site"] for each in json.loads(listed.output)]
    assert (again.code, "has no policy" in again.complaint) == (Exit.FAILED, True)


async def test_a_wrong_window_is_pointed_at_and_nothing_is_set(home: Path) -> None:
    ran = await fleetward(home, "site", "set", "berlin", "--window", "mon-fry 02:00+3h UTC")
    assert ran.code == Exit.USAGE
    assert "'fry' is no day" in ran.complaint
    nothing = await fleetward(home, "site", "set", "berlin")
    assert nothing.code == Exit.USAGE
    assert (await fleetward(home, "site", "show", "berlin")).code == Exit.FAILED
