"""How a model looks: for people on a terminal, for machines as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fleetward.cli import plain
from fleetward.client.curation import Curated
from fleetward.client.timeline import with_its_zone
from fleetward.contracts.curation import ModelCuration, Preflight, Standing
from fleetward.contracts.ids import ModelRef
from fleetward.contracts.registry import ModelRecord, ModelVersion
from fleetward.contracts.variants import plain_version

MEGABYTE = 1_000_000

Plain = dict[str, Any]


def plain_curation(curation: ModelCuration, card: str = "") -> Plain:
    """What is said of one version, with keys that stay."""
    return {
        "lineage": curation.lineage,
        "licence": curation.licence or None,
        "card": card or None,
        "standing": curation.standing.value,
        "standing_reason": curation.standing_reason or None,
        "inspected_at": _time(curation.inspected_at),
        "preflight": plain_preflight(curation.preflight) if curation.preflight else None,
        "reports": [
            {
                "kind": report.kind,
                "passed": report.passed,
                "reported_by": report.reported_by,
                "digest": report.digest,
                "key_id": report.key_id or None,
                "at": _time(report.at),
            }
            for report in curation.reports
        ],
        "approvals": [
            {"by": approval.by, "note": approval.note or None, "at": _time(approval.at)}
            for approval in curation.approvals
        ],
    }


def plain_curated(asked: str, found: Sequence[Curated]) -> Plain:
    """A version; one of several artifacts as the list of its variants."""
    each = [
        {**plain.model_version(one.version), **plain_curation(one.curation, one.card)}
        for one in found
    ]
    return each[0] if len(each) == 1 else {"model": asked, "variants": each}


def plain_preflight(ran: Preflight) -> Plain:
    """One preflight, with keys that stay."""
    return {
        "passed": ran.passed,
        "reason": ran.reason or None,
        "tools": ran.tools,
        "skipped": ran.skipped,
        "inference_ms": ran.inference_ms,
        "at": _time(ran.at),
    }


def plain_record(record: ModelRecord, standings: Mapping[ModelRef, Standing]) -> Plain:
    """One model for `model list --json`: with how each of its versions stands."""
    known = plain.model_record(record)
    for version, told in zip(record.versions, known["versions"], strict=True):
        told["standing"] = _standing(version, standings).value
    return known


def _standing(version: ModelVersion, standings: Mapping[ModelRef, Standing]) -> Standing:
    return standings.get(version.manifest.model, Standing.CURRENT)


def row(
    record: ModelRecord, version: ModelVersion, standings: Mapping[ModelRef, Standing]
) -> list[str]:
    """One line of `fleetward model list`."""
    manifest = version.manifest
    standing = _standing(version, standings)
    called = (manifest.model.version, plain_version(manifest))
    own = [f"@{name}" for name, held in record.aliases.items() if held in called]
    return [
        str(manifest.model),
        str(manifest.release),
        f"{manifest.size_bytes / MEGABYTE:.1f} MB",
        str(manifest.opset),
        with_its_zone(manifest.published_at),
        " ".join(sorted(own)),
        manifest.fits,
        manifest.digest[:19],
        "" if standing is Standing.CURRENT else standing.value,
    ]


def show_curated(curated: Curated) -> None:
    """One version with all that is said of it."""
    show_version(curated.version, curated.curation)
    if curated.card:
        print(f"\n{curated.card.rstrip()}")


def show_version(version: ModelVersion, curation: ModelCuration | None = None) -> None:
    """One version on a few lines."""
    manifest = version.manifest
    published = with_its_zone(manifest.published_at)
    print(f"{manifest.model}  (release {manifest.release}, {published})")
    if curation is not None and curation.standing is not Standing.CURRENT:
        print(f"  {curation.standing.value.upper()}: {curation.standing_reason}")
    if manifest.fits:
        print(f"  for       {manifest.fits}")
    print(f"  digest    {manifest.digest}")
    print(f"  size      {manifest.size_bytes} bytes, {manifest.format} opset {manifest.opset}")
    print(f"  signed    by key {version.signed.key_id}")
    for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        for spec in specs:
            shape = " x ".join("?" if size < 0 else str(size) for size in spec.shape) or "scalar"
            print(f"  {kind:<9} {spec.name}: {spec.element_type} {shape}")
    for key, value in sorted(manifest.metadata.items()):
        print(f"  {key} = {value}")
    if curation is not None:
        _show_curation(curation)


def show_record(record: ModelRecord, said: Mapping[int, ModelCuration]) -> None:
    """Every version of a model, the gates of its aliases, and where they moved lately."""
    for version in record.versions:
        show_version(version, said.get(version.manifest.release))
    for alias, gates in sorted(record.gates.items()):
        print(f"  @{alias} demands {', '.join(gates)}")
    for move in record.alias_history:
        print(f"  {with_its_zone(move.moved_at)}  @{move.alias} -> {move.version}")


def _show_curation(curation: ModelCuration) -> None:
    print(f"  licence   {curation.licence or 'not known'}")
    for key, value in curation.lineage.items():
        print(f"  from      {key}: {value}")
    ran = curation.preflight
    if ran is not None:
        tools = ", ".join(f"{tool} {version}" for tool, version in ran.tools.items())
        print(f"  preflight {'passed' if ran.passed else f'FAILED ({ran.reason})'} with {tools}")
    for report in curation.reports:
        outcome = "passed" if report.passed else "FAILED"
        print(f"  report    {report.kind}: {outcome}, by {report.reported_by}")
    for approval in curation.approvals:
        note = f" ({approval.note})" if approval.note else ""
        print(f"  approved  by {approval.by}, {with_its_zone(approval.at)}{note}")


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
