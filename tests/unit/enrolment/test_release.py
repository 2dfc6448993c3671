"""Which wheels make a release of the bridge for a kind of machine."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.enrolment.errors import WheelMissingError
from fleetward.enrolment.release import pack
from fleetward.enrolment.wheelhouse import Wheelhouse
from fleetward.releases.archive import Platform, check

ORIN = Platform(python="3.10", arch="aarch64", glibc="2.35")


def house(directory: Path) -> Wheelhouse:
    """The bridge in two versions, and a runtime for two processors."""
    for name, requires in (
        ("edge_bridge-0.1.0-py3-none-any", "onnxruntime"),
        ("edge_bridge-0.2.0-py3-none-any", 'onnxruntime\nRequires-Dist: rich; extra == "view"'),
        ("onnxruntime-1.20-cp310-cp310-manylinux_2_28_aarch64", ""),
        ("onnxruntime-1.20-cp310-cp310-manylinux_2_28_x86_64", ""),
        ("rich-14.0-py3-none-any", ""),
    ):
        info = "-".join(name.split("-")[:2]) + ".dist-info"
        with zipfile.ZipFile(directory / f"{name}.whl", "w") as wheel:
            told = f"Provides-Extra: view\nRequires-Dist: {requires}\n" if requires else "\n"
            wheel.writestr(f"{info}/METADATA", told)
            wheel.writestr(f"{info}/RECORD", name)
    return Wheelhouse(directory)


def test_a_release_holds_what_the_bridge_needs_there_and_nothing_else(tmp_path: Path) -> None:
    lock = pack(house(tmp_path), ORIN, tmp_path / "release.tar")

    assert check(tmp_path / "release.tar") == lock
    assert (lock.version, lock.python, lock.arch, lock.glibc) == (
        "0.2.0",
        "3.10",
        "aarch64",
        "2.35",
    )
    assert [wheel.filename for wheel in lock.wheels] == [
        "edge_bridge-0.2.0-py3-none-any.whl",
        "onnxruntime-1.20-cp310-cp310-manylinux_2_28_aarch64.whl",
    ]


def test_a_release_with_an_extra_holds_what_that_needs_and_says_so(tmp_path: Path) -> None:
    pack(house(tmp_path), ORIN, tmp_path / "release.tar", ["view"])

    lock = check(tmp_path / "release.tar")
    assert lock.extras == ("view",)
    assert [wheel.filename.partition("-")[0] for wheel in lock.wheels] == [
        "edge_bridge",
        "onnxruntime",
        "rich",
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"python": "3.12"}, "no wheel of onnxruntime for Python 3.12"),
        ({"glibc": "2.17"}, "no wheel of onnxruntime"),
        ({"arch": "riscv64"}, "is no processor of robots"),
        ({"python": "3.9"}, "too old"),
        ({"python": "three"}, "is no version"),
        ({"glibc": "2"}, "is no version"),
    ],
)
def test_what_no_robot_of_ours_is_or_no_wheel_is_for_is_refused(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(WheelMissingError, match=reason):
        pack(house(tmp_path), replace(ORIN, **changes), tmp_path / "release.tar")
