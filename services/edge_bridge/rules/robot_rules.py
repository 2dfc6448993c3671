"""By which rules this robot judges itself: those of a file of its own, or else the hub's.

Nothing that judges is loaded before there are rules to judge by.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.converging.trust import Trust
from edge_bridge.link import Link
from edge_bridge.rules.hub_rules import HubRules
from edge_bridge.rules.settings import RuleSettings
from fleetward.bus.logs import log
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rule_sets import CompiledRule, RuleSet, RuleSource, RulesStanding
from fleetward.contracts.telemetry import TelemetryFrame

if TYPE_CHECKING:
    from edge_bridge.rules.judging import LocalRules
    from fleetward.rules.rulebook import Rulebook

_logger = logging.getLogger(__name__)

RULES_FILE = "rules.msgpack"
"""In the robot's state directory: the hub's rules as they were sent."""
MAX_TROUBLE_CHARACTERS = 512


class RobotRules:
    """``on_alert`` hears on the event loop what begins to fire on this robot, and what no longer does."""

    def __init__(
        self,
        robot_id: RobotId,
        settings: RuleSettings,
        state_dir: Path,
        on_alert: Callable[[AlertEvent], None],
    ) -> None:
        self._robot_id = robot_id
        self._settings = settings
        self._kept = state_dir / RULES_FILE
        self._on_alert = on_alert
        self._hub: HubRules | None = None
        self._trust: Trust | None = None
        self._judging: LocalRules | None = None
        self._there = asyncio.Event()
        self._rule_set: RuleSet | None = None
        self._faults = ""
        source = RuleSource.FILE if settings.path else RuleSource.HUB
        self.standing = RulesStanding(source=source)
        """For the check-in."""

    def connect(self, link: Link, trust: Trust) -> None:
        """Where the hub's rules come from, unless the robot has its own; and who knows its labels."""
        self._trust = trust
        if self._settings.path is None:
            self._hub = HubRules(link, trust, self._kept, self.hub_says)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {"rules": self.follow(), "rules-judging": self.judge()}

    def sampled(self, frame: TelemetryFrame) -> None:
        """A frame of samples, in the order in which they are measured."""
        if self._judging is not None:
            self._judging.sampled(frame)

    async def judged_all(self) -> None:
        """Until every frame that was given is judged."""
        if self._judging is not None:
            await self._judging.judged_all()

    async def judge(self) -> None:
        """Judge as soon as there are rules, until cancelled."""
        await self._there.wait()
        if self._judging is not None:
            await self._judging.run()

    async def follow(self) -> None:
        """Learn of the rules, until cancelled. Those that cannot be had cost the rules, not the robot."""
        try:
            if self._settings.path is not None:
                await self._read(self._settings.path)
            elif self._hub is not None:
                await self._hub.run()
        except Exception as problem:  # noqa: BLE001 (a rule must not take the robot along)
            self._off(str(problem) or repr(problem))
            log(_logger, "rules.off", level=logging.ERROR, reason=self.standing.trouble)

    async def _read(self, path: Path) -> None:
        from edge_bridge.rules.reading import read_apart
        from fleetward.rules.rule_sets import compiled

        rulebook = await read_apart(path)
        self._use(rulebook, compiled(rulebook), self._settings.lookback_s, revision=0)

    def hub_says(self, rule_set: RuleSet | None, trouble: str) -> None:
        """Judge by this set, None: by none; ``trouble``: why it is not the hub's newest."""
        if rule_set is None:
            self._rule_set, self._faults = None, ""
            self._off(trouble)
            return
        if rule_set is not self._rule_set:
            from fleetward.rules.rule_sets import understood

            self._rule_set, known = rule_set, understood(rule_set)
            self._faults = " ".join(known.faults.values())
            for alert, fault in known.faults.items():
                log(_logger, "rules.not_judged", level=logging.ERROR, alert=alert, reason=fault)
            self._use(known.rulebook, rule_set.rules, rule_set.lookback_s, rule_set.revision)
        self.standing = replace(self.standing, trouble=shortened(trouble or self._faults))

    def _use(
        self,
        rulebook: Rulebook,
        sent: Sequence[CompiledRule],
        lookback_s: float,
        revision: int,
    ) -> None:
        """The same rules under another revision change nothing that is being judged."""
        from fleetward.rules.rule_sets import digest_of

        digest, before = digest_of(sent, lookback_s), self.standing.digest
        self.standing = RulesStanding(
            source=self.standing.source,
            digest=digest,
            rules=len(rulebook.rules),
            revision=revision,
        )
        if digest != before:
            self._judged_by(rulebook, lookback_s)

    def _judged_by(self, rulebook: Rulebook, lookback_s: float) -> None:
        if self._judging is None:
            from edge_bridge.rules.judging import LocalRules

            self._judging = LocalRules(self._robot_id, self._labels, self._on_alert, self._failed)
            self._there.set()
        self._judging.use(rulebook, lookback_s)

    def _labels(self) -> Mapping[str, str]:
        """Those that the robot was told, or else those that the hub knows."""
        return self._settings.labels or (self._trust.labels if self._trust else {})

    def _failed(self, reason: str) -> None:
        """What judges stopped: it begins again with the next rules."""
        self._faults = reason
        self.standing = RulesStanding(source=self.standing.source, trouble=shortened(reason))

    def _off(self, trouble: str) -> None:
        if self.standing.digest is not None:
            from fleetward.rules.rulebook import Rulebook

            self._judged_by(Rulebook(), 0.0)
        self.standing = RulesStanding(source=self.standing.source, trouble=shortened(trouble))


def shortened(trouble: str) -> str:
    """As much of it as a check-in has room for."""
    return trouble[:MAX_TROUBLE_CHARACTERS]
