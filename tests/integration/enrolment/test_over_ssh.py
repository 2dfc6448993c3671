"""One machine is enrolled, enrolled again, damaged, refused and removed, over a real SSH server.

The tests of this file follow each other: each finds the machine as the one before left it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from fleetward.bus.publish import publish
from fleetward.cli.exits import Exit
from fleetward.contracts.ids import RobotId
from fleetward.enrolment.layout import UNIT
from fleetward.local.ports import LOOPBACK, free_port
from fleetward.trust.nats_jwt import key_in
from fleetward.trust.receipts import signed_receipt
from testkit import systemctl
from tests.integration.enrolment.machines import NAME, Machines, machines
from tests.integration.enrolment.robots_word import RECEIPT, cannot_connect, connect, connects

SERVER_DISTRIBUTIONS = {"aioboto3", "asyncssh", "duckdb", "faststream", "pyarrow", "rich", "typer"}
RULE_PARSERS = {"promql-parser", "promql_parser"}
SECRET_MODE, OPEN_MODE = 0o600, 0o644
CUT_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("machines")) as running:
        yield running


def test_a_host_nobody_vouches_for_is_not_logged_in_to(made: Machines) -> None:
    code, untold = made.enrol("--name", NAME)
    assert code == Exit.FAILED
    assert f"is not known: {made.server.fingerprint}" in untold["reason"]

    code, other = made.enrol("--name", NAME, "--fingerprint", "SHA256:" + 43 * "A")
    assert code == Exit.FAILED
    assert f"has the host key {made.server.fingerprint}" in other["reason"]
    assert made.logins() == 0


def test_a_machine_that_cannot_run_a_bridge_is_refused_untouched(
    made: Machines, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    told = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64\n"
    (tmp_path / "etc/nv_tegra_release").write_text(told)
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson AGX Xavier\0")

    code, refused = made.enrol("--fingerprint", made.server.fingerprint, root=tmp_path)

    assert code == Exit.FAILED
    assert "it runs L4T 35.4.1, the bridge needs 36 or later" in refused["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc", "proc"]


def test_a_dry_run_shows_every_step_and_does_none(made: Machines) -> None:
    code, planned = made.enrol("--name", NAME, "--label", "site=lab", "--dry-run")

    assert (code, planned["result"]) == (Exit.OK, "planned")
    assert planned["changes"][:2] == [
        f"issue credentials of {NAME}",
        f"announce {NAME} to the fleet with site=lab",
    ]
    assert planned["changes"][-1] == f"hear the first check-in of {NAME}"
    assert f"start {UNIT}" in planned["changes"]
    assert sorted(path.name for path in made.root.iterdir()) == ["run"]
    assert robots(made) == []


@pytest.fixture(scope="module")
def enrolled(made: Machines) -> dict[str, Any]:
    code, result = made.enrol("--name", NAME, "--label", "site=lab")
    assert code == Exit.OK, result["reason"]
    return result


def test_an_enrolled_machine_runs_an_installed_bridge_that_was_heard(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    assert (enrolled["result"], enrolled["robot_id"]) == ("done", NAME)
    assert made.pid() > 0
    assert made.path("run/systemctl/alive").exists(), "it gave a sign of life to its watchdog"
    (robot,) = robots(made)
    assert (robot["labels"], robot["silent"]) == ({"site": "lab"}, False)
    credentials = made.path("etc/fleetward/robot.creds")
    assert credentials.stat().st_mode & 0o777 == SECRET_MODE
    assert credentials.read_bytes() == (made.home / f"credentials/robots/{NAME}.creds").read_bytes()
    executable = Path(f"/proc/{made.pid()}/cmdline").read_bytes().split(b"\0")[0].decode()
    assert executable.startswith(str(made.root))


def test_what_the_bridge_loads_later_was_compiled_with_what_it_loads_first(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    (packages,) = made.path("opt/fleetward/current/lib").glob("python3.*/site-packages")
    compiled = {path.parent.name for path in packages.glob("*/__pycache__")}
    assert {"aiohappyeyeballs", "mcap"} <= compiled, "of what fetches, and of what records"
    assert list(packages.glob("edge_bridge/fetching/__pycache__/arrival.*.pyc"))


def test_the_installed_bridge_brought_no_server_dependency(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    (packages,) = made.path("opt/fleetward/current/lib").glob("python3.*/site-packages")
    installed = {held.metadata["Name"].lower() for held in distributions(path=[str(packages)])}

    assert {"edge-bridge", "fleetward", "onnxruntime"} <= {
        name.replace("_", "-") for name in installed
    }
    assert installed & (SERVER_DISTRIBUTIONS | RULE_PARSERS) == set()


def test_enrolling_again_changes_nothing_and_says_so(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    before, pid = made.tree(), made.pid()

    code, again = made.enrol()

    assert (code, again["result"], again["changes"]) == (Exit.OK, "unchanged", [])
    assert again["robot_id"] == NAME, "the machine says who it is"
    assert (made.tree(), made.pid()) == (before, pid)


def test_only_what_is_no_longer_as_wanted_is_made_again(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    credentials, pid = made.path("etc/fleetward/robot.creds"), made.pid()
    credentials.chmod(OPEN_MODE)

    code, mended = made.enrol()

    assert code == Exit.OK, mended["reason"]
    assert [change.split(" (")[0] for change in mended["changes"]] == [
        f"remove {made.path('etc/fleetward/started')}",
        f"write {credentials}",
        f"restart {UNIT}",
        f"write {made.path('etc/fleetward/started')}",
        f"hear the first check-in of {NAME}",
    ]
    assert credentials.stat().st_mode & 0o777 == SECRET_MODE
    assert made.pid() not in {0, pid}


def test_a_host_that_fails_stops_no_other_and_fails_the_command(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    gone = f"{made.server.login}@{LOOPBACK}:{free_port()}"

    code, results, _ = made.run("enroll", gone, made.server.destination, *made.enrolling())

    assert code == Exit.FAILED
    assert [result["result"] for result in results] == ["failed", "unchanged"]
    assert f"{gone} cannot be reached" in results[0]["reason"]


def test_another_id_for_the_same_machine_is_refused(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    code, refused = made.enrol("--name", "arm-8")

    assert code == Exit.FAILED
    assert f"this machine is enrolled as {NAME}, not arm-8" in refused["reason"]


def test_another_machine_under_an_id_that_was_heard_is_refused(
    made: Machines, enrolled: dict[str, Any], tmp_path: Path
) -> None:
    code, refused = made.enrol("--name", NAME, root=tmp_path)

    assert code == Exit.FAILED
    assert f"{NAME} is another machine" in refused["reason"]
    assert list(tmp_path.iterdir()) == []


def test_a_changed_host_key_is_refused_even_with_its_fingerprint(
    made: Machines, enrolled: dict[str, Any]
) -> None:
    logins, key = made.logins(), (made.server.directory / "host_key").read_bytes()
    asyncio.run(made.server.stop())
    made.server.change_host_key()
    asyncio.run(made.server.start())
    try:
        code, refused = made.enrol("--fingerprint", made.server.fingerprint)
    finally:
        asyncio.run(made.server.stop())
        (made.server.directory / "host_key").write_bytes(key)
        asyncio.run(made.server.start())

    assert code == Exit.FAILED
    assert "has changed" in refused["reason"]
    assert str(made.home / "known_hosts") in refused["reason"]
    assert made.logins() == logins


def test_a_replaced_machine_is_cut_off_and_what_it_signed_is_believed_no_more(
    made: Machines, enrolled: dict[str, Any], tmp_path: Path
) -> None:
    old = tmp_path / "old.creds"
    old.write_bytes(made.path("etc/fleetward/robot.creds").read_bytes())
    systemctl.Machine(made.root, UNIT).stop()
    shutil.rmtree(made.path("etc/fleetward"))  # another machine, with the same host name

    async def replace_while_connected() -> tuple[int, dict[str, Any]]:
        closed = asyncio.Event()
        held = await connect(made, old, closed)
        await publish(held, signed_receipt(RECEIPT, key_in(old.read_text())))
        shown = (await asyncio.to_thread(made.run, "show", NAME))[1]["receipt"]
        assert (shown["signed"]["generation"], shown["refused"]) == (RECEIPT.generation, None)
        replaced = await asyncio.to_thread(made.enrol, "--name", NAME, "--replace")
        await asyncio.wait_for(closed.wait(), CUT_WITHIN_S)
        return replaced

    code, replaced = asyncio.run(replace_while_connected())

    assert code == Exit.OK, replaced["reason"]
    assert replaced["changes"][:3] == [
        f"void the key that {NAME} had",
        f"issue credentials of {NAME}",
        f"announce {NAME} to the fleet with site=lab",
    ]
    cannot_connect(made, old)
    shown = made.run("show", NAME)[1]
    assert (shown["receipt"]["signed"], shown["silent"]) == (None, False)
    assert f"is signed with {key_in(old.read_text()).public}" in shown["receipt"]["refused"]

    code, again = made.enrol("--name", NAME, "--replace")
    assert (code, again["result"]) == (Exit.OK, "unchanged"), again["reason"]


def test_removal_undoes_all_of_it_and_the_key_is_void(
    made: Machines, enrolled: dict[str, Any], tmp_path: Path
) -> None:
    stolen = tmp_path / "stolen.creds"
    stolen.write_bytes(made.path("etc/fleetward/robot.creds").read_bytes())

    code, (removed,), complaints = made.run("remove", made.server.destination, *made.reaching())

    assert (code, removed["result"]) == (Exit.OK, "done"), complaints
    assert made.pid() == 0
    assert [path for path in made.root.rglob("*fleetward*") if path.exists()] == []
    assert robots(made) == []
    cannot_connect(made, stolen)

    code, (again,), _ = made.run("remove", made.server.destination, *made.reaching())
    assert (code, again["result"], again["changes"]) == (Exit.OK, "unchanged", [])


def test_an_id_alone_is_enrolled_here_and_no_machine_is_touched(made: Machines) -> None:
    logins = made.logins()

    code, issued, _ = made.run("enrol", "arm-9", "--label", "site=lab")

    assert (code, issued["robot_id"]) == (Exit.OK, "arm-9")
    assert Path(issued["credentials"]).stat().st_mode & 0o777 == SECRET_MODE
    assert [robot["robot_id"] for robot in robots(made)] == ["arm-9"]
    assert made.logins() == logins


def test_an_id_alone_gets_another_key_and_is_removed_without_its_machine(made: Machines) -> None:
    first, second = made.directory / "first.creds", made.directory / "second.creds"
    logins, issued = made.logins(), made.home / "credentials/robots/arm-9.creds"
    first.write_bytes(issued.read_bytes())

    assert made.run("enrol", "arm-9", "--replace")[0] == Exit.OK

    second.write_bytes(issued.read_bytes())
    cannot_connect(made, first)
    assert asyncio.run(connects(made, second))
    assert [robot["labels"] for robot in robots(made)] == [{"site": "lab"}]

    identities = made.system.identities
    identities.void(identities.held_public(RobotId("arm-9")))
    assert asyncio.run(connects(made, second)), "cut off before the server was told"

    code, removed, complaints = made.run("remove", "arm-9")

    assert (code, [each["result"] for each in removed]) == (Exit.OK, ["done"]), complaints
    cannot_connect(made, second)
    assert robots(made) == []
    assert [each["result"] for each in made.run("remove", "arm-9")[1]] == ["unchanged"]
    assert made.logins() == logins


def robots(made: Machines) -> list[dict[str, Any]]:
    """Who is in the fleet."""
    listed: list[dict[str, Any]] = made.run("list")[1]
    return listed
