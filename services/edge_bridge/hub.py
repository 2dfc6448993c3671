"""The hub as a robot has it: the link, who is believed, and what lies on disk until it went there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from edge_bridge.converging.registry import Registry
from edge_bridge.converging.trust import Trust
from edge_bridge.credentials.renewing import Record, renewing
from edge_bridge.disk_thread import DiskThread
from edge_bridge.errors import BridgeError
from edge_bridge.journal import Journal
from edge_bridge.link import Link
from edge_bridge.reporting import Reporter
from edge_bridge.reserve import Reserve
from edge_bridge.settings import Settings
from edge_bridge.telemetry.sending import FrameSender
from edge_bridge.telemetry.spool import Spool
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId


class Hub:
    """Reached or not: what a bridge says, it says here. On the event loop."""

    def __init__(
        self,
        settings: Settings,
        boot_id: BootId,
        *,
        on_fact: Callable[[Event], None],
        record: Record,
    ) -> None:
        """``on_fact`` sees every fact when it is written down; ``record`` takes samples.

        Raises JournalError, SpoolError, and RootRefusedError when the robot was never enrolled.
        """
        state = settings.state_dir
        self._robot_id = settings.robot_id
        self._boot_id = boot_id
        self._reserve = Reserve(state / "reserve")
        self.journal, self.spool = self._reserve.opened(lambda: _files(settings))
        self.link = Link(settings.bus, state / "credentials", settings.link_silence_s)
        self.registry = Registry(settings.robot_id, self.link)
        self.disk = DiskThread()
        self.reporter = Reporter(self.journal, self.link, settings.uplink, self.disk, on_fact)
        self.sender = FrameSender(self.spool, self.link, settings.uplink, self.disk)
        self.trust = Trust(
            settings.robot_id,
            settings.trust_dir,
            state / "trust" / "kept",
            self.registry.refresh_trust,
        )
        self.renewing = renewing(settings, self.link, self.trust.hub_now, record)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {
            **self.link.parts(),
            "watermarks": self.sender.hear_watermarks(self._robot_id, self._boot_id),
            "trust": self.trust.run(),
            "credentials": self.renewing.run(),
            "reporter": self.reporter.run(),
            "sender": self.sender.run(),
        }

    def close(self) -> None:
        """Close the files; what was written is durable already."""
        self.disk.close()
        self.journal.close()
        self.spool.close()
        self._reserve.keep()


def _files(settings: Settings) -> tuple[Journal, Spool]:
    """Both, or neither."""
    journal = Journal(settings.state_dir / "journal.db")
    try:
        return journal, Spool(settings.state_dir / "spool.db", settings.store.spool_bytes)
    except BridgeError:
        journal.close()
        raise
