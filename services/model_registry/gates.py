"""What a version must have before an alias may name it: an ordered list, and the first that lacks.

A gate is written ``inspected``, ``preflight``, ``licence``, ``licence:Apache-2.0/MIT``,
``report:KIND`` or ``approvals:N``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import structs

from fleetward.contracts.curation import (
    MAX_APPROVALS,
    MAX_GATES,
    MAX_NAME_CHARS,
    ModelCuration,
)
from fleetward.contracts.ids import AliasName
from fleetward.contracts.judgements import GatesRequired, RequireGates
from fleetward.contracts.registry import ModelRecord, MoveAlias
from fleetward.contracts.variants import named
from model_registry.aliases import MAX_ALIASES_PER_MODEL, move
from model_registry.errors import GateError, GateMissingError
from model_registry.judgement import Known, refuse_withdrawn
from model_registry.publication import RecordStep

KIND = re.compile(rf"\A[a-z0-9][a-z0-9_-]{{0,{MAX_NAME_CHARS - 1}}}\Z")

MAX_GATE_CHARS = 200

_SAYS = (
    "A gate is inspected, preflight, licence, licence:Apache-2.0/MIT, report:KIND or approvals:N"
)


def require(record: ModelRecord, request: RequireGates, now: datetime) -> RecordStep:
    """The record with an alias's gates replaced; raises GateError. No gates: it moves freely."""
    gates = tuple(_well_written(gate) for gate in request.gates)
    if len(gates) > MAX_GATES or len(set(gates)) < len(gates):
        raise GateError(f"An alias has at most {MAX_GATES} gates, each once. {_SAYS}.")
    if record.gates.get(request.alias, ()) == gates:
        return RecordStep(record=record)
    others = {alias: held for alias, held in record.gates.items() if alias != request.alias}
    changed: dict[AliasName, tuple[str, ...]] = (
        {**others, request.alias: gates} if gates else others
    )
    if len(changed) > MAX_ALIASES_PER_MODEL:
        raise GateError(f"{record.name} has gates for {MAX_ALIASES_PER_MODEL} aliases already.")
    return RecordStep(
        record=structs.replace(record, gates=changed), facts=(required(request, now),)
    )


def required(request: RequireGates, now: datetime) -> GatesRequired:
    """The fact that ``request`` was granted."""
    return GatesRequired(
        name=request.name,
        alias=request.alias,
        gates=request.gates,
        by=request.by,
        required_at=now,
    )


def guarded_move(
    record: ModelRecord, request: MoveAlias, known: Sequence[Known], now: datetime
) -> RecordStep:
    """Move an alias to a version of which every artifact has what the alias demands.

    Raises WithdrawnError, GateMissingError, and what ``aliases.move`` raises.
    """
    for each in known:
        refuse_withdrawn(each.withdrawals, each.curation.digest, _called(each))
    step = move(record, request, now)
    for each in known if step.facts else ():
        missing = missing_gate(record.gates.get(request.alias, ()), each.curation)
        if missing:
            raise GateMissingError(
                f"{request.name}@{request.alias} does not move to {each.curation.version}: {missing}"
            )
    if step.facts and len(known) != len(named(record, request.version)):
        raise GateMissingError(
            f"{request.name}:{request.version} got another variant meanwhile. Look at it, and try "
            "again."
        )
    return step


def _called(known: Known) -> str:
    return f"{known.curation.name}:{known.curation.version}"


def missing_gate(gates: tuple[str, ...], curation: ModelCuration) -> str:
    """The first gate without its evidence, why, and what to do; empty when all are passed."""
    for gate in gates:
        kind, _, argument = gate.partition(":")
        reason = _EVIDENCE[kind](curation, argument)
        if reason:
            return f"the gate {gate} is missing: {reason}"
    return ""


def _inspected(curation: ModelCuration, _: str) -> str:
    return "" if curation.inspected_at else "nobody inspected it. Publish it again."


def _preflight(curation: ModelCuration, _: str) -> str:
    ran = curation.preflight
    if ran is not None and ran.passed:
        return ""
    found = f"its preflight failed ({ran.reason})" if ran else "it had no preflight"
    return f"{found}. Run `fleetward model preflight {curation.name}:{curation.version}`."


def _licence(curation: ModelCuration, argument: str) -> str:
    allowed = argument.split("/") if argument else []
    if curation.licence and (not allowed or curation.licence in allowed):
        return ""
    said = curation.licence or "not known"
    wanted = " or ".join(allowed) or "a known one"
    return f"its licence is {said}, and {wanted} is demanded. Publish it with `--licence`."


def _report(curation: ModelCuration, kind: str) -> str:
    for report in curation.reports:
        if report.kind == kind:
            return "" if report.passed else f"the newest {kind} report says that it failed."
    command = f"fleetward model report {curation.name}:{curation.version} --kind {kind} --file ..."
    return f"there is no {kind} report. Attach one with `{command}`."


def _approvals(curation: ModelCuration, argument: str) -> str:
    given = [approval.by for approval in curation.approvals]
    if len(given) >= int(argument):
        return ""
    by = f" (by {', '.join(given)})" if given else ""
    command = f"fleetward model approve {curation.name}:{curation.version} --by NAME"
    return f"it has {len(given)} of {argument} approvals{by}. Approve it with `{command}`."


_EVIDENCE: Mapping[str, Callable[[ModelCuration, str], str]] = {
    "inspected": _inspected,
    "preflight": _preflight,
    "licence": _licence,
    "report": _report,
    "approvals": _approvals,
}


def _well_written(gate: str) -> str:
    kind, colon, argument = gate[:MAX_GATE_CHARS].partition(":")
    good = {
        "inspected": not colon,
        "preflight": not colon,
        "licence": not colon or all(argument.split("/")),
        "report": KIND.match(argument) is not None,
        "approvals": argument.isascii()
        and argument.isdecimal()
        and 1 <= int(argument) <= MAX_APPROVALS,
    }
    if not good.get(kind, False) or len(gate) > MAX_GATE_CHARS:
        raise GateError(f"{gate!r} is no gate. {_SAYS}, with 1 to {MAX_APPROVALS} approvals.")
    return gate
