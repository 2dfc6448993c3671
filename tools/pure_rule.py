"""What decides does not act: decision modules see no clock, chance, environment, log or wire.

Held for the modules named here and for all of ours that they import, so a decision cannot hide
its I/O one file further on. A module that does not exist yet is held once it does.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.imports import imported_modules
from tools.sources import ROOT, Finding, report

PURE = (
    "alerting.arrivals",
    "alerting.fleet",
    "alerting.silence",
    "edge_bridge.workers.comparison",
    "edge_bridge.backends.confidence",
    "edge_bridge.converging.accusations",
    "edge_bridge.converging.converge",
    "edge_bridge.workers.green_deaths",
    "edge_bridge.converging.health",
    "edge_bridge.hub_clock",
    "edge_bridge.logs.parsing",
    "edge_bridge.workers.ledger",
    "edge_bridge.backends.model_input",
    "edge_bridge.converging.trust_state",
    "edge_bridge.telemetry.thinning",
    "edge_bridge.updating.trial",
    "fleetward.bus.backoff",
    "fleetward.delivery.manifest",
    "fleetward.delivery.packs",
    "fleetward.delivery.fetch_plan",
    "fleetward.delivery.update",
    "fleetward.engines.recipe",
    "fleetward.enrolment.destination",
    "fleetward.enrolment.gates",
    "fleetward.enrolment.host_keys",
    "fleetward.enrolment.plan",
    "fleetward.enrolment.removal",
    "fleetward.enrolment.scripts",
    "fleetward.enrolment.survey",
    "fleetward.enrolment.wheels",
    "fleetward.local.restarts",
    "fleetward.rules.evaluate",
    "fleetward.rules.expressions",
    "fleetward.rules.incidents",
    "fleetward.rules.rulebook",
    "fleetward.rules.vectors",
    "fleetward.trust.accounts",
    "fleetward.trust.permissions",
    "model_registry.aliases",
    "model_registry.description",
    "model_registry.gates",
    "model_registry.grants",
    "model_registry.listings",
    "model_registry.judgement",
    "model_registry.publication",
    "model_registry.reports",
    "model_registry.retention",
    "model_registry.variants",
    "rollout_coordinator.advance",
    "rollout_coordinator.artifacts",
    "rollout_coordinator.comparison",
    "rollout_coordinator.decision_log",
    "rollout_coordinator.evidence",
    "rollout_coordinator.excluded",
    "rollout_coordinator.explain",
    "rollout_coordinator.capacity",
    "rollout_coordinator.conflicts",
    "rollout_coordinator.fold",
    "rollout_coordinator.shard_order",
    "rollout_coordinator.replan",
    "rollout_coordinator.interest",
    "rollout_coordinator.joining",
    "rollout_coordinator.looks",
    "rollout_coordinator.observation",
    "rollout_coordinator.plan",
    "rollout_coordinator.preview",
    "rollout_coordinator.rates",
    "rollout_coordinator.replay",
    "rollout_coordinator.site_plan",
    "rollout_coordinator.sufficed",
    "rollout_coordinator.verdict",
    "rollout_coordinator.windows",
    "telemetry_ingest.boots",
    "telemetry_ingest.moments",
    "telemetry_ingest.summaries",
    "telemetry_ingest.watermark",
)

FORBIDDEN = frozenset(
    {
        *("aiohttp", "asyncio", "faststream", "http", "httpx", "nats", "socket", "ssl", "urllib"),
        *("glob", "io", "os", "pathlib", "shutil", "sqlite3", "tempfile"),
        *("multiprocessing", "signal", "subprocess", "threading"),
        *("logging", "opentelemetry", "random", "secrets", "time", "uuid"),
    }
)
IMPURE_CALLS = frozenset(
    {
        *("datetime.now", "datetime.today", "datetime.utcnow", "date.today"),
        *("input", "open", "print"),
    }
)


def module_path(module: str, root: Path) -> Path | None:
    """The file of one of our modules, relative to ``root``; None where there is none."""
    for folder in ("libs", "services"):
        stem = root / folder / Path(*module.split("."))
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.is_file():
                return file.relative_to(root)
    return None


def pure_modules(root: Path) -> dict[str, Path]:
    """The decision modules, the contracts, and every module of ours that they import."""
    waiting = list(PURE) + [
        f"fleetward.contracts.{file.stem}"
        for file in sorted((root / "libs/fleetward/contracts").glob("[!_]*.py"))
    ]
    reached: dict[str, Path] = {}
    while waiting:
        module = waiting.pop()
        path = module_path(module, root)
        if path is None or module in reached:
            continue
        reached[module] = path
        waiting.extend(name for _, name in imported_modules(_tree(root / path)))
    return reached


def findings(path: Path, tree: ast.Module) -> Iterator[Finding]:
    """What ``path`` does that a decision may not."""
    for line, module in imported_modules(tree):
        if module.split(".")[0] in FORBIDDEN:
            yield Finding(path, line, f"decides, so it may not import {module}; pass its fact in")
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            yield Finding(path, node.lineno, f"decides, so {node.name} may not be async")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS:
            yield Finding(path, node.lineno, f"decides, so no {ast.unparse(node.func)}() here")


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def main() -> int:
    """The exit code of `make check`'s purity rule."""
    return report(
        finding
        for path in sorted(pure_modules(ROOT).values())
        for finding in findings(path, _tree(ROOT / path))
    )


if __name__ == "__main__":
    sys.exit(main())
