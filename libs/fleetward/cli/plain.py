"""What ``--json`` prints: the same keys in every version of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import to_builtins

from fleetward.client.alerts import AlertStatus
from fleetward.client.owners import Ownership
from fleetward.client.robots import RobotStatus
from fleetward.contracts.compared import compared
from fleetward.contracts.control import HeardWord
from fleetward.contracts.evidence import CohortEvidence, Spread, Stratum
from fleetward.contracts.gates import GateState
from fleetward.contracts.model_sets import parts
from fleetward.contracts.places import Place, place_of
from fleetward.contracts.registry import (
    AliasMoved,
    ModelRecord,
    ModelVersion,
    TensorSpec,
    Variant,
)
from fleetward.contracts.robots import Fetching, PipelineStanding
from fleetward.contracts.rollouts import RobotProgress, Rollout
from fleetward.contracts.telemetry import Sample
from fleetward.contracts.variants import wanted

Plain = dict[str, Any]

NOBODYS: Mapping[Place, Ownership] = MappingProxyType({})


def model_version(version: ModelVersion) -> Plain:
    """One published version."""
    manifest = version.manifest
    return {
        "name": manifest.model.name,
        "version": manifest.model.version,
        "digest": manifest.digest,
        "size_bytes": manifest.size_bytes,
        "format": manifest.format,
        "opset": manifest.opset,
        "inputs": [_tensor(spec) for spec in manifest.inputs],
        "outputs": [_tensor(spec) for spec in manifest.outputs],
        "metadata": manifest.metadata,
        "release": manifest.release,
        "fits": manifest.fits or None,
        "published_at": _time(manifest.published_at),
        "key_id": version.signed.key_id,
    }


def model_record(record: ModelRecord) -> Plain:
    """One model with all its versions and aliases."""
    return {
        "name": record.name,
        "versions": [model_version(version) for version in record.versions],
        "aliases": dict(record.aliases),
        "alias_history": [
            {"alias": move.alias, "version": move.version, "moved_at": _time(move.moved_at)}
            for move in record.alias_history
        ],
        "gates": {alias: list(gates) for alias, gates in record.gates.items()},
    }


def alias_moved(moved: AliasMoved) -> Plain:
    """One move of an alias."""
    return {
        "name": moved.name,
        "alias": moved.alias,
        "version": moved.version,
        "previous_version": moved.previous_version,
        "by": moved.by or None,
        "moved_at": _time(moved.moved_at),
    }


def rollout(rollout: Rollout) -> Plain:
    """One rollout with every robot and the evidence."""
    return {
        "rollout_id": rollout.rollout_id,
        "model": str(rollout.model),
        "digest": rollout.digest,
        "variants": [variant(each) for each in rollout.variants],
        "together": [str(each.model) for each in rollout.together],
        "strategy": rollout.strategy.value,
        "state": rollout.state.value,
        "reason": rollout.reason,
        "wave": rollout.wave,
        "waves": [list(wave) for wave in rollout.waves],
        "withheld": rollout.withheld or None,
        "checkpoint": rollout.checkpoint or None,
        "plan": rollout.plan or None,
        "gates": {name: _gate(held) for name, held in rollout.gates.items()},
        "staging": rollout.staging,
        "switch_at": _time(rollout.switch_at),
        "begins_at": _time(rollout.begins_at),
        "waits_for": list(rollout.waits_for),
        "watched_until": _time(rollout.watched_until),
        "word": _word(rollout.word) if rollout.word else None,
        "requested_by": rollout.requested_by or None,
        "robots": {
            robot: _progress(rollout, held) for robot, held in sorted(rollout.robots.items())
        },
        "canary": _cohort(rollout.evidence.canary),
        "control": _cohort(rollout.evidence.control),
        "strata": [_stratum(rollout, each) for each in rollout.evidence.strata.values()],
        "started_at": _time(rollout.started_at),
        "ended_at": _time(rollout.ended_at),
        "revision": rollout.revision,
        "traceparent": rollout.traceparent,
    }


def _word(word: HeardWord) -> Plain:
    return {"action": word.action.value, "by": word.by, "refused": word.refused or None}


def _gate(held: GateState) -> Plain:
    return {
        "verdict": held.verdict.value if held.verdict else None,
        "approved_by": list(held.approved_by),
        "reason": held.reason or None,
    }


def _pipeline(standing: PipelineStanding, held: Ownership | None) -> Plain:
    """What a robot says of one more model that it serves, and which open rollout owns that."""
    return {
        "name": standing.name,
        "owner": held.owner if held else None,
        "epoch": held.epoch if held else None,
        "active_model": str(standing.active_model) if standing.active_model else None,
        "active_digest": standing.active_digest,
        "generation": standing.generation,
        "frames_served": standing.frames_served,
        "frames_dropped": standing.frames_dropped,
        "held_back": standing.held_back or None,
    }


def robot(status: RobotStatus, now: datetime, held: Mapping[Place, Ownership] = NOBODYS) -> Plain:
    """One robot, what it last said, and which open rollouts own it since which generation."""
    last, own = status.last, held.get(None)
    return {
        "owner": own.owner if own else None,
        "epoch": own.epoch if own else None,
        "robot_id": status.enrolled.robot_id,
        "labels": status.enrolled.labels,
        "silent": status.is_silent(now),
        "last_checked_in_at": _time(last.checked_in_at) if last else None,
        "active_model": str(last.active_model) if last and last.active_model else None,
        "active_digest": last.active_digest if last else None,
        "staged_model": str(last.staged_model) if last and last.staged_model else None,
        "shadow_model": str(last.shadow_model) if last and last.shadow_model else None,
        "held_back": (last.held_back or None) if last else None,
        "pipelines": [_pipeline(each, held.get(each.name)) for each in last.pipelines]
        if last
        else [],
        "generation": last.generation if last else 0,
        "frames_captured": last.frames_captured if last else 0,
        "frames_served": last.frames_served if last else 0,
        "frames_failed": last.frames_failed if last else 0,
        "frames_dropped": last.frames_dropped if last else 0,
        "frames_reissued": last.frames_reissued if last else 0,
        "bytes_fetched": last.bytes_fetched if last else 0,
        "fetching": _fetching(last.fetching) if last and last.fetching else None,
        "rules": to_builtins(last.rules) if last and last.rules else None,
        "failure": status.failure,
    }


def _fetching(fetching: Fetching) -> Plain:
    return {
        "model": str(fetching.model),
        "bytes_done": fetching.bytes_done,
        "bytes_total": fetching.bytes_total,
    }


def alert(status: AlertStatus) -> Plain:
    """The newest incident of one alert on one robot."""
    fired = status.fired
    return {
        "robot_id": fired.robot_id,
        "alert": fired.alert,
        "state": status.state.value,
        "severity": fired.severity.value,
        "incident": fired.incident,
        "value": fired.value,
        "expression": fired.expression,
        "summary": fired.summary,
        "labels": fired.labels,
        "digest": fired.digest,
        "fired_at": _time(fired.fired_at),
    }


def sample(sample: Sample) -> Plain:
    """One stored value; ``at_ns`` is unix time."""
    return {
        "robot_id": sample.robot_id,
        "signal": sample.signal,
        "attributes": sample.attributes,
        "at_ns": sample.at_ns,
        "value": sample.value,
    }


def _tensor(spec: TensorSpec) -> Plain:
    return {"name": spec.name, "element_type": spec.element_type, "shape": list(spec.shape)}


def variant(variant: Variant) -> Plain:
    """One artifact of a version, and whom it is for; null: whoever no other one fits."""
    return {
        "model": str(variant.model),
        "digest": variant.digest,
        "fits": variant.fits or None,
    }


def _progress(rollout: Rollout, progress: RobotProgress) -> Plain:
    return {
        "phase": progress.phase.value,
        "given": str(wanted(rollout, progress).model),
        "pipeline": place_of(rollout.model.name, progress.pipelines),
        "generation": progress.generation,
        "epoch": progress.generation,
        "previous": str(progress.previous) if progress.previous else None,
        "together": [_part(*part) for part in parts(rollout, progress)[1:]],
        "targeted_at": _time(progress.targeted_at),
        "proved_at": _time(progress.proved_at),
        "reason": progress.reason,
    }


def _part(rollout: Rollout, progress: RobotProgress) -> Plain:
    """One further model of a set on a robot."""
    return {
        "given": str(wanted(rollout, progress).model),
        "pipeline": place_of(rollout.model.name, progress.pipelines),
        "generation": progress.generation,
        "previous": str(progress.previous) if progress.previous else None,
    }


def _cohort(cohort: CohortEvidence) -> Plain:
    latency, confidence = cohort.latency_ms, cohort.confidence
    return {
        "inferences": cohort.inferences,
        "errors": cohort.errors,
        "latency_ms_mean": latency.total / latency.count if latency.count else None,
        "confidence_mean": confidence.total / confidence.count if confidence.count else None,
        "signals_mean": {
            name: signal.total / signal.count
            for name, signal in cohort.signals.items()
            if signal.count
        },
    }


def _stratum(rollout: Rollout, stratum: Stratum) -> Plain:
    """Each compared metric of one site and hardware: robots and mean of both cohorts."""
    metrics = compared(rollout.policy)
    return {
        "site": stratum.site,
        "hardware": stratum.hardware,
        "canary": {m.name: _spread(one) for m, one in zip(metrics, stratum.canary, strict=False)},
        "control": {m.name: _spread(one) for m, one in zip(metrics, stratum.control, strict=False)},
    }


def _spread(spread: Spread) -> Plain:
    return {
        "robots": spread.robots,
        "mean": spread.total / spread.count if spread.count else None,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
