"""What a quote says below its table."""

from __future__ import annotations

import pytest

from fleetward.cli.quote import _show, all_told
from fleetward.client.quotes import Cohort, RolloutQuote
from fleetward.contracts.ids import Digest, ModelRef, model_name, robot_id, version
from fleetward.contracts.quotes import Quote


@pytest.mark.parametrize(
    ("fetch_bytes", "most"),
    [
        (3_000_000, "no robot more than 3.0 MB (--byte-cap 3000000B)."),
        (0, "no robot more than 0 B."),
    ],
)
def test_a_byte_cap_is_named_only_where_it_is_one(fetch_bytes: int, most: str) -> None:
    cohort = Cohort(
        robots=(robot_id("arm-1"),), labels={}, held=(), quote=Quote(fetch_bytes=fetch_bytes)
    )
    found = RolloutQuote(
        model=ModelRef(model_name("detector"), version("2.0")),
        digest=Digest("sha256:" + "a" * 64),
        size_bytes=9_000_000,
        cohorts=(cohort,),
    )
    assert most in all_told(found, 10)
    assert "detector:2.0 is 9.0 MB;" in all_told(found, 10)


def test_of_variants_the_size_of_the_largest_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cohorts = tuple(
        Cohort(
            robots=(robot_id(f"arm-{number}"),),
            labels={"hw": kind},
            held=(),
            quote=Quote(fetch_bytes=number * 1_000_000),
            model=ModelRef(model_name("detector"), version(f"2.0+{kind}")),
        )
        for number, kind in ((9, "thor"), (5, "orin"))
    )
    found = RolloutQuote(
        model=ModelRef(model_name("detector"), version("2.0")),
        digest=Digest("sha256:" + "a" * 64),
        size_bytes=9_000_000,
        cohorts=cohorts,
        misfits={robot_id("arm-1"): "no variant fits its labels"},
    )
    _show(found, 10)
    shown = " ".join(capsys.readouterr().out.split())
    assert "arm-9 hw=thor detector:2.0+thor 9.0 MB" in shown
    assert "Left out: arm-1: no variant fits its labels." in shown
    assert "detector:2.0 is at most 9.0 MB; 2 robots fetch 14.0 MB together" in shown
