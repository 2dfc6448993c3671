"""What a machine says of itself is read as it is, and decides whether it may be enrolled."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.enrolment.found import Entry, Found
from fleetward.enrolment.gates import reasons_against
from fleetward.enrolment.layout import Layout
from fleetward.enrolment.plan import looked_at
from fleetward.enrolment.survey import found_in, is_whole, survey_script
from tests.unit.enrolment.model_machine import BARE

GIB = 1024**3
ORIN = replace(BARE, memory_bytes=8 * GIB, disk_free_bytes=32 * GIB)


def test_the_script_tells_of_a_machine_what_is_there(tmp_path: Path) -> None:
    layout = Layout(prefix=str(tmp_path))
    config = Path(layout.config)
    config.mkdir(parents=True, mode=0o755)
    Path(layout.settings).write_text('FLEETWARD_ROBOT_ID="arm-7"\n')
    Path(layout.settings).chmod(0o640)
    Path(layout.releases, "abc").mkdir(parents=True)
    Path(layout.extras).write_text("foxglove rules\n")
    Path(layout.complete("abc")).touch()
    Path(layout.current).symlink_to(layout.release("abc"))
    (tmp_path / "etc/nv_tegra_release").write_text(f"{BARE.l4t}\n")
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson\tOrin NX\0")

    script = survey_script(layout, "no-such-account", "python3", looked_at(layout))
    ran = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=True)
    found = found_in(ran.stdout)

    assert is_whole(ran.stdout)
    assert (found.board, found.l4t_release) == ("NVIDIA Jetson Orin NX", (36, "4.3"))
    assert found.disk_free_bytes > 0
    assert found.memory_bytes > 0
    assert found.python is not None
    assert not found.account_exists
    assert found.settings == 'FLEETWARD_ROBOT_ID="arm-7"\n'
    assert found.releases == ("abc",)
    assert found.extras == ("foxglove", "rules")
    assert layout.complete("abc") in found.entries
    assert found.entries[layout.settings].mode == "640"
    assert found.entries[layout.current] == Entry(kind="link", target=layout.release("abc"))
    assert layout.state not in found.entries


def test_half_an_answer_is_not_taken_for_a_bare_machine() -> None:
    assert not is_whole("hostname\tarm-7\narch\taarch64\n")


def test_what_says_nothing_is_nothing() -> None:
    assert found_in("memory_kib\t\npython\tthree\nglibc\tmusl\nnonsense\n") == Found()


def test_an_ordinary_robot_passes() -> None:
    assert reasons_against(ORIN, GIB) == []
    assert reasons_against(replace(ORIN, l4t="", arch="x86_64"), GIB) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"l4t": "# R35 (release), REVISION: 4.1"}, "it runs L4T 35.4.1, the bridge needs 36"),
        ({"l4t": "# nonsense"}, "cannot be read"),
        ({"python": (3, 8), "python_full": "3.8.10"}, "its python3 is 3.8.10"),
        ({"python": None}, "it has no python3"),
        ({"arch": "armv7l"}, "its processor is armv7l"),
        ({"memory_bytes": GIB // 2}, "512 MiB of memory"),
        ({"disk_free_bytes": GIB}, r"1024 MiB of its disk are free, 2048 MiB are needed"),
        ({"has_service_manager": False}, "no systemctl"),
    ],
    ids=str,
)
def test_each_gate_says_what_is_wrong_and_what_to_do(
    change: dict[str, object], reason: str
) -> None:
    (told,) = reasons_against(replace(ORIN, **change), GIB)
    assert reason in told
