"""What a machine's own files say, on trees of an Orin and a Thor, and on the one that runs this."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from edge_bridge.telemetry.machine import LAID_OUT_ANEW_S, MAX_PARTS, Machine, is_throttled
from edge_bridge.telemetry.sysfs import Layout
from fleetward.contracts.signals import SIGNALS

MACHINES = Path(__file__).with_name("machines")
Said = dict[tuple[str, str], float]


def laid_out(name: str, root: Path) -> Path:
    """The recorded machine's files under ``root``."""
    recorded = yaml.safe_load((MACHINES / f"{name}.yaml").read_text(encoding="utf-8"))
    for path, content in recorded.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n", encoding="ascii")
    return root


def said(root: Path) -> Said:
    """Value by signal and part."""
    found: Said = {}

    def record(signal: str, value: float, attributes: Mapping[str, str] | None = None) -> None:
        part = "/".join((attributes or {}).values())
        assert (signal, part) not in found
        found[signal, part] = value

    Machine(root).read(record)
    return found


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    return laid_out("orin-nx", tmp_path)


@pytest.fixture
def thor(tmp_path: Path) -> Path:
    return laid_out("thor", tmp_path)


def test_an_orin_is_read_whole_in_the_units_of_its_signals(orin: Path) -> None:
    assert said(orin) == pytest.approx(
        {
            ("hw.temperature", "cpu-thermal"): 48.093,
            ("hw.temperature.limit", "cpu-thermal"): 104.5,
            ("hw.temperature", "tj-thermal"): 48.5,
            ("hw.voltage", "VDD_IN"): 19.064,
            ("hw.power", "VDD_IN"): 5.947968,
            ("hw.host.power", "VDD_IN"): 5.947968,
            ("hw.voltage", "VDD_CPU_GPU_CV"): 19.064,
            ("hw.power", "VDD_CPU_GPU_CV"): 0.915072,
            ("hw.fan.speed_ratio", "pwmfan"): 0.4,
            ("hw.gpu.utilization", "17000000.gpu"): 0.437,
            ("hw.battery.charge", "BAT0"): 0.62,
            ("hw.battery.time_left", "BAT0"): 5400,
            ("hw.network.up", "wlan0"): 1,
            ("system.network.io", "wlan0/receive"): 88123,
            ("system.network.io", "wlan0/transmit"): 4411,
            ("system.network.errors", "wlan0/receive"): 0,
            ("system.network.errors", "wlan0/transmit"): 1,
            ("system.network.packet.dropped", "wlan0/receive"): 7,
            ("system.network.packet.dropped", "wlan0/transmit"): 0,
            ("link.wifi.rssi", "wlan0"): -56,
            ("robot.power_mode", ""): 2,
            ("robot.throttled", ""): 0,
        }
    )


def test_a_thor_is_read_whole_in_the_units_of_its_signals(thor: Path) -> None:
    assert said(thor) == pytest.approx(
        {
            ("hw.temperature", "cpu-thermal"): 41.25,
            ("hw.temperature", "gpu-thermal"): 43.5,
            ("hw.voltage", "VDD_GPU"): 20.04,
            ("hw.power", "VDD_GPU"): 10.02,
            ("hw.voltage", "ina238-2-0044"): 20.05,
            ("hw.power", "ina238-2-0044"): 38.25,
            ("hw.host.power", "ina238-2-0044"): 38.25,
            ("hw.fan.speed_ratio", "pwmfan"): 0,
            ("hw.network.up", "mgbe0_0"): 0,
            ("system.network.io", "mgbe0_0/receive"): 0,
            ("robot.power_mode", ""): 1,
            ("robot.throttled", ""): 0,
        }
    )


def test_every_signal_is_one_of_the_table(orin: Path) -> None:
    known = {signal.name for signal in SIGNALS}
    assert {signal for signal, _ in said(orin)} <= known


def test_time_is_throttled_while_something_other_than_a_fan_is_held_down(
    orin: Path, thor: Path
) -> None:
    assert is_throttled(Layout(), str(thor))
    (thor / "sys/class/thermal/cooling_device3/cur_state").write_text("0\n", encoding="ascii")
    assert not is_throttled(Layout(), str(orin))


def test_throttled_time_is_counted_between_readings(thor: Path) -> None:
    counted: list[float] = []
    machine = Machine(thor)

    def record(signal: str, value: float, attributes: Mapping[str, str] | None = None) -> None:
        del attributes
        if signal == "robot.throttled":
            counted.append(value)

    state = thor / "sys/class/thermal/cooling_device3/cur_state"
    for now_s, held_down in ((10.0, "1"), (12.0, "1"), (15.0, "0"), (16.0, "2")):
        state.write_text(held_down, encoding="ascii")
        machine.read(record, now_s)
    assert counted == [0.0, 2.0, 2.0, 3.0]


@pytest.mark.parametrize("nonsense", ["", "-", "12 apples", "\x00", "nan"])
def test_a_file_that_says_nonsense_says_nothing_and_the_rest_is_read(
    thor: Path, nonsense: str
) -> None:
    (thor / "sys/devices/virtual/thermal/thermal_zone0/temp").write_text(nonsense, encoding="ascii")
    found = said(thor)
    assert ("hw.temperature", "cpu-thermal") not in found
    assert found["hw.temperature", "gpu-thermal"] == pytest.approx(43.5)


def test_a_machine_of_many_parts_fills_no_frame_alone(tmp_path: Path) -> None:
    for number in range(MAX_PARTS * 2):
        zone = tmp_path / f"sys/devices/virtual/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text("40000", encoding="ascii")
    assert sum(signal == "hw.temperature" for signal, _ in said(tmp_path)) == MAX_PARTS


def test_a_machine_without_any_of_it_says_that_it_is_not_throttled(tmp_path: Path) -> None:
    assert said(tmp_path) == {("robot.throttled", ""): 0.0}


def test_a_part_that_goes_is_silent_at_once_and_one_that_comes_is_heard_soon(orin: Path) -> None:
    heard: set[str] = set()

    def record(signal: str, value: float, attributes: Mapping[str, str] | None = None) -> None:
        if signal in ("hw.gpu.utilization", "hw.battery.charge"):
            heard.add(f"{(attributes or {})['hw.id']} {value:g}")

    def at(now_s: float) -> set[str]:
        heard.clear()
        machine.read(record, now_s)
        return {*heard}

    machine, supplies = Machine(orin), orin / "sys/class/power_supply"
    assert at(0.0) == {"17000000.gpu 0.437", "BAT0 0.62"}
    (orin / "sys/class/devfreq/17000000.gpu/device/load").unlink()
    shutil.copytree(supplies / "BAT0", supplies / "BAT1")
    (supplies / "BAT0/capacity").write_text("61\n", encoding="ascii")
    assert at(1.0) == {"BAT0 0.61"}
    assert at(LAID_OUT_ANEW_S) == {"BAT0 0.61", "BAT1 0.62"}


def test_this_machine_is_read_without_an_error() -> None:
    assert said(Path("/"))["robot.throttled", ""] >= 0
