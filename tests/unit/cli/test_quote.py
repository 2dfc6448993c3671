"""What a quote says below its table."""

from __future__ import annotations

import pytest

from fleetward.cli.quote import all_told
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
