"""How telemetry and reports leave the robot: every bound of it with its unit."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.pace import PaceLimits

KIB = 1024
MIB = 1024 * KIB


class UplinkLimits(Struct, frozen=True, kw_only=True):
    """Of what goes up by the bus."""

    publish_timeout_s: float = 10.0
    """For what is small, with a portion of telemetry before it on its way up."""
    slowest_bytes_per_s: float = 2 * KIB
    """A portion of telemetry may take longer, by what it takes at this rate."""
    portion_s: float = 1.0
    """So much telemetry is on its way at once on a slow link: a check-in waits behind no more than that."""
    first_portion_bytes: int = 32 * KIB
    least_portion_bytes: int = 4 * KIB
    most_portion_bytes: int = 8 * MIB
    retry_wait_s: float = 0.5
    retry_wait_limit_s: float = 10.0
    frames_in_flight: int = 32
    frames_numbered: int = 1024
    """Frames sent and not yet known to be stored; they can no longer be thinned."""
    resend_after_s: float = 30.0
    """Sent frames that nobody reports stored for so long are sent again."""

    @property
    def pace(self) -> PaceLimits:
        """Of the portions of telemetry."""
        return PaceLimits(
            portion_s=self.portion_s,
            first_bytes=self.first_portion_bytes,
            least_bytes=self.least_portion_bytes,
            most_bytes=self.most_portion_bytes,
        )
