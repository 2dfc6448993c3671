"""How gates are written on the command line."""

from __future__ import annotations

import pytest
import typer

from fleetward.cli.rollout_gates import gates_of
from fleetward.contracts.gates import Checkpoint, Gate, GateKind


def test_each_kind_of_gate_is_written_in_a_word_and_named_after_its_place() -> None:
    words = ["approval@start", "approval:2@wave", "webhook:https://twin/x?y=1@end"]
    assert gates_of([*words, "alert-free:10m@switch", "approval@start"]) == (
        Gate(name="approval-start", kind=GateKind.APPROVAL, before=Checkpoint.START),
        Gate(name="approval-wave", kind=GateKind.APPROVAL, before=Checkpoint.WAVE, approvals=2),
        Gate(
            name="webhook-end",
            kind=GateKind.WEBHOOK,
            before=Checkpoint.END,
            url="https://twin/x?y=1",
        ),
        Gate(
            name="alert-free-switch",
            kind=GateKind.ALERT_FREE,
            before=Checkpoint.SWITCH,
            alert_free_s=600,
        ),
        Gate(name="approval-start-2", kind=GateKind.APPROVAL, before=Checkpoint.START),
    )


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("approval", "is not a gate; write KIND"),
        ("hope@start", "a kind of approval, webhook, alert-free"),
        ("approval@lunch", "a place of start, wave, switch, end"),
        ("approval:many@start", "'many' is no number of people"),
        ("alert-free:soon@end", "'soon' is not a duration"),
    ],
)
def test_what_is_no_gate_is_told_how_to_write_one(word: str, complaint: str) -> None:
    with pytest.raises(typer.BadParameter, match=complaint):
        gates_of([word])
