"""A robot gets the wheels that fit it, all it needs and nothing else."""

from __future__ import annotations

import hashlib

import pytest
from msgspec.structs import replace

from fleetward.enrolment.errors import WheelMissingError
from fleetward.enrolment.wheels import Wheel, release_of, wheels_for
from tests.unit.enrolment.model_machine import BARE

X86 = replace(BARE, arch="x86_64", l4t="", python=(3, 12), python_full="3.12.3", glibc=(2, 39))


def wheel(filename: str, *requires: str) -> Wheel:
    return Wheel(
        filename=filename,
        content=hashlib.sha256(filename.encode()).hexdigest(),
        size_bytes=1,
        unpacked_bytes=1,
        requires=requires,
    )


HOUSE = (
    wheel(
        "edge_bridge-1.0-py3-none-any.whl",
        "numpy>=1.26",
        "nats-py[nkeys]",
        "old; python_version<'3'",
    ),
    wheel("numpy-1.26.4-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"),
    wheel("numpy-2.1.0-cp310-cp310-manylinux_2_17_aarch64.whl"),
    wheel("numpy-2.2.0-cp310-cp310-manylinux_2_38_aarch64.whl"),
    wheel("numpy-2.3.0-cp312-cp312-manylinux_2_28_x86_64.whl"),
    wheel("nats_py-2.16-py3-none-any.whl", 'nkeys; extra == "nkeys"', 'aiohttp; extra == "web"'),
    wheel("nkeys-0.2-cp38-abi3-manylinux_2_17_aarch64.whl"),
    wheel("nkeys-0.2-cp38-abi3-manylinux_2_17_x86_64.whl"),
    wheel("faststream-0.7-py3-none-any.whl"),
)


WITH_EXTRAS = (
    replace(
        HOUSE[0],
        requires=(*HOUSE[0].requires, 'viewer; extra == "foxglove"', 'parser; extra == "rules"'),
        extras=("foxglove", "rules"),
    ),
    *HOUSE[1:],
    wheel("viewer-1.0-cp38-abi3-manylinux_2_17_x86_64.whl"),
    wheel("parser-1.0-py3-none-any.whl"),
)


def names(
    found: object = BARE, house: tuple[Wheel, ...] = HOUSE, extras: tuple[str, ...] = ()
) -> list[str]:
    return [each.filename for each in wheels_for(house, found, "here", extras)]  # type: ignore[arg-type]


def test_the_newest_that_fits_python_processor_and_glibc_is_taken() -> None:
    assert names() == [
        "edge_bridge-1.0-py3-none-any.whl",
        "nats_py-2.16-py3-none-any.whl",
        "nkeys-0.2-cp38-abi3-manylinux_2_17_aarch64.whl",
        "numpy-2.1.0-cp310-cp310-manylinux_2_17_aarch64.whl",
    ]
    assert "numpy-2.3.0-cp312-cp312-manylinux_2_28_x86_64.whl" in names(X86)


def test_what_lacks_is_named_with_how_to_get_it() -> None:
    without = tuple(each for each in HOUSE if each.name != "nkeys")
    with pytest.raises(WheelMissingError, match=r"no wheel of nkeys.*make wheelhouse FOR=aarch64"):
        names(house=without)


def test_an_extra_brings_what_it_needs_and_what_is_not_asked_for_stays_away() -> None:
    brought = set(names(house=WITH_EXTRAS, extras=("rules",))) - set(names(house=WITH_EXTRAS))
    assert brought == {"parser-1.0-py3-none-any.whl"}


def test_an_extra_without_a_wheel_for_the_processor_is_named_with_what_to_do() -> None:
    assert names(X86, WITH_EXTRAS, ("foxglove", "rules"))
    told = (
        r"The extra foxglove of edge-bridge cannot be had there: here has no wheel of viewer.*aarch64"
        r".*make wheelhouse FOR=aarch64.*Or leave out that extra"
    )
    with pytest.raises(WheelMissingError, match=told):
        names(house=WITH_EXTRAS, extras=("rules", "foxglove"))


def test_an_extra_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(WheelMissingError, match=r"'foxgloves' is no extra.*has: foxglove, rules"):
        names(house=WITH_EXTRAS, extras=("foxgloves",))


def test_a_limit_that_somebody_sets_later_is_not_passed_over() -> None:
    for requires in (("numpy", "strict"), ("strict", "numpy")):
        bridge = wheel("edge_bridge-2.0-py3-none-any.whl", *requires)
        strict = wheel("strict-1.0-py3-none-any.whl", "numpy<2")
        assert any(
            name.startswith("numpy-1.26.4") for name in names(house=(*HOUSE, bridge, strict))
        )

        impossible = wheel("strict-1.0-py3-none-any.whl", "numpy<1")
        with pytest.raises(WheelMissingError, match=r"no wheel of .*numpy<1 for Python"):
            names(house=(*HOUSE, bridge, impossible))


def test_the_same_wheels_make_the_same_release_and_others_another() -> None:
    chosen = wheels_for(HOUSE, BARE, "here")
    names_of_releases = {
        release_of(chosen, BARE, system_packages=True),
        release_of(chosen, BARE, system_packages=False),
        release_of(chosen[1:], BARE, system_packages=True),
        release_of(chosen, replace(BARE, python_full="3.10.13"), system_packages=True),
    }
    assert len(names_of_releases) == 4
    assert release_of(wheels_for(HOUSE[::-1], BARE, "here"), BARE, system_packages=True) in (
        names_of_releases
    )
