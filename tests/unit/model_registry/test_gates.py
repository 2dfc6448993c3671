"""An alias with gates moves only to a version that has all of them; the first that lacks is named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from fleetward.contracts.curation import Approval, ModelCuration, Preflight, Withdrawals
from fleetward.contracts.ids import alias_name
from fleetward.contracts.judgements import GatesRequired, RequireGates
from fleetward.contracts.registry import AliasMoved, ModelRecord, MoveAlias
from model_registry.errors import GateError, GateMissingError, WithdrawnError
from model_registry.gates import guarded_move, missing_gate, require
from model_registry.publication import publish
from tests.unit.model_registry.candidates import NOW, candidate, digest_of, sign
from tests.unit.model_registry.curations import DETECTOR, FIRST, curation, known, with_report

PRODUCTION = alias_name("production")
ALL = ("inspected", "preflight", "licence:MIT/BSD-3-Clause", "report:sim", "approvals:2")


def record() -> ModelRecord:
    return publish(ModelRecord(name=DETECTOR), candidate("1.0", "1.0"), NOW, sign).record


def asked(*gates: str) -> RequireGates:
    return RequireGates(name=DETECTOR, alias=PRODUCTION, gates=gates)


MOVE = MoveAlias(name=DETECTOR, alias=PRODUCTION, version=FIRST)


def proved() -> ModelCuration:
    """A version with everything that ALL demands."""
    held = structs.replace(
        curation(),
        licence="MIT",
        preflight=Preflight(passed=True, at=NOW),
        approvals=(Approval(by="ada", at=NOW), Approval(by="grace", at=NOW)),
    )
    return with_report(held, "sim", passed=True)


def test_a_version_with_all_evidence_passes_and_the_alias_moves() -> None:
    gated = require(record(), asked(*ALL), NOW).record
    step = guarded_move(gated, MOVE, [known(proved())], NOW)

    assert missing_gate(ALL, proved()) == ""
    assert isinstance(step.facts[0], AliasMoved)
    assert step.record.gates == {PRODUCTION: ALL}


@pytest.mark.parametrize(
    ("lacking", "gate", "words"),
    [
        (structs.replace(proved(), inspected_at=None), "inspected", "nobody inspected"),
        (structs.replace(proved(), preflight=None), "preflight", "had no preflight"),
        (
            structs.replace(proved(), preflight=Preflight(passed=False, reason="Cast", at=NOW)),
            "preflight",
            r"failed \(Cast\)",
        ),
        (structs.replace(proved(), licence=""), "licence:MIT/BSD-3-Clause", "not known"),
        (structs.replace(proved(), licence="AGPL-3.0"), "licence:MIT/BSD-3-Clause", "AGPL-3.0"),
        (structs.replace(proved(), reports=()), "report:sim", "there is no sim report"),
        (
            with_report(structs.replace(proved(), reports=()), "sim", passed=False),
            "report:sim",
            "says that it failed",
        ),
        (
            structs.replace(proved(), approvals=(Approval(by="ada", at=NOW),)),
            "approvals:2",
            r"1 of 2 approvals \(by ada\)",
        ),
    ],
)
def test_the_missing_gate_is_named_with_its_remedy(
    lacking: ModelCuration, gate: str, words: str
) -> None:
    gated = require(record(), asked(*ALL), NOW).record

    with pytest.raises(GateMissingError, match=f"the gate {gate} is missing: .*{words}"):
        guarded_move(gated, MOVE, [known(lacking)], NOW)


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (("report:sim", "approvals:2", "preflight"), "report:sim"),
        (("approvals:2", "preflight", "report:sim"), "approvals:2"),
    ],
)
def test_gates_are_looked_at_in_their_order(order: Sequence[str], first: str) -> None:
    assert missing_gate(tuple(order), curation()).startswith(f"the gate {first} ")


def test_other_aliases_move_freely_and_gates_can_be_lifted() -> None:
    gated = require(record(), asked("approvals:2"), NOW).record
    other = structs.replace(MOVE, alias=alias_name("testing"))
    assert guarded_move(gated, other, [known()], NOW).facts

    lifted = require(gated, asked(), NOW)
    assert isinstance(lifted.facts[0], GatesRequired)
    assert lifted.record.gates == {}
    assert guarded_move(lifted.record, MOVE, [known()], NOW).facts
    assert require(lifted.record, asked(), NOW).facts == ()


def test_no_alias_names_withdrawn_bytes() -> None:
    withdrawals = Withdrawals(counter=1, reasons={digest_of("1.0"): "ghosts"})
    with pytest.raises(WithdrawnError, match="ghosts"):
        guarded_move(record(), MOVE, [known(None, withdrawals)], NOW)


@pytest.mark.parametrize(
    "gate",
    [
        "",
        "approved",
        "inspected:twice",
        "approvals",
        "approvals:0",
        "approvals:-1",
        "approvals:33",
        "approvals:²",
        "approvals:" + "9" * 5000,
        "report:",
        "report:../sim",
        "licence:",
        "licence:MIT//BSD",
    ],
)
def test_what_is_no_gate_is_refused(gate: str) -> None:
    with pytest.raises(GateError, match="is no gate"):
        require(record(), asked(gate), NOW)


def test_a_gate_stands_once_and_their_number_is_bounded() -> None:
    with pytest.raises(GateError, match="each once"):
        require(record(), asked("inspected", "inspected"), NOW)
    with pytest.raises(GateError, match="at most 16"):
        require(record(), asked(*(f"report:r{number}" for number in range(17))), NOW)
