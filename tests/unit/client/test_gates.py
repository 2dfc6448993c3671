"""Whose word on a rollout would be heard, and why another's would not."""

from __future__ import annotations

from datetime import datetime, timezone

from msgspec.structs import replace

from fleetward.client.gates import too_long, why_no_word
from fleetward.contracts.gates import (
    MAX_COMMENT_CHARACTERS,
    Checkpoint,
    Gate,
    GateKind,
    GateState,
    Verdict,
)
from fleetward.contracts.ids import Digest, ModelRef, model_name, rollout_id, version
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, RolloutState, Strategy

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SAFETY, LEGAL = (
    Gate(name=name, kind=GateKind.APPROVAL, before=Checkpoint.START) for name in ("safety", "legal")
)
REFUSED = GateState(verdict=Verdict.REFUSED, reason="jane said no (too warm)")
WAITING = Rollout(
    rollout_id=rollout_id("r-1"),
    model=ModelRef(model_name("detector"), version("2.0")),
    digest=Digest("sha256:" + "a" * 64),
    strategy=Strategy.CANARY,
    policy=RolloutPolicy(gates=(SAFETY, LEGAL)),
    state=RolloutState.RUNNING,
    wave_started_at=NOW,
    started_at=NOW,
    requested_by="root",
    gates={"safety": GateState(), "legal": GateState()},
)


def test_somebody_else_is_heard_where_a_gate_waits() -> None:
    assert why_no_word(WAITING, "bob", "") == ""
    assert "somebody else has to approve it" in why_no_word(WAITING, "root", "")


def test_a_no_stands_and_whoever_speaks_after_it_is_told_how_to_ask_anew() -> None:
    refused = replace(
        WAITING, state=RolloutState.PAUSED, gates={"safety": REFUSED, "legal": REFUSED}
    )
    told = why_no_word(refused, "bob", "")
    assert "is refused (jane said no (too warm)), and a no stands" in told
    assert "`fleetward rollout resume r-1` asks everybody anew" in told


def test_a_gate_that_nobody_refused_still_hears_beside_one_that_was() -> None:
    half = replace(WAITING, gates={"safety": REFUSED, "legal": GateState()})
    assert why_no_word(half, "bob", "") == ""
    assert why_no_word(half, "bob", "legal") == ""
    assert "a no stands" in why_no_word(half, "bob", "safety")


def test_a_name_or_comment_that_the_record_would_cut_is_refused_with_its_limit() -> None:
    assert too_long("bob", "x" * MAX_COMMENT_CHARACTERS) == ""
    assert "at most 500" in too_long("bob", "x" * (MAX_COMMENT_CHARACTERS + 1))
    assert "name has 129 characters; at most 128" in too_long("b" * 129, "")
