"""Where everything of a bridge lies on a robot; nothing else composes these paths."""

from __future__ import annotations

from msgspec import Struct

UNIT = "fleetward-bridge.service"
ACCOUNT = "fleetward"
"""The account that a bridge runs under, unless another is named."""


class Layout(Struct, frozen=True, kw_only=True):
    """prefix: put before every path, to try things out; an ordinary robot has none."""

    prefix: str = ""

    @property
    def install(self) -> str:
        """Programs."""
        return f"{self.prefix}/opt/fleetward"

    @property
    def wheels(self) -> str:
        """Wheels as they came, so that the next release moves only what changed."""
        return f"{self.install}/wheels"

    @property
    def releases(self) -> str:
        """A virtual environment for each set of wheels."""
        return f"{self.install}/releases"

    @property
    def current(self) -> str:
        """A link to the environment that enrolment made; it runs until the bridge updated itself."""
        return f"{self.install}/current"

    @property
    def extras(self) -> str:
        """Which extras of the bridge were asked for; absent: none."""
        return f"{self.install}/extras"

    @property
    def launcher(self) -> str:
        """What systemd starts: it chooses the environment, and is part of none."""
        return f"{self.install}/launch.py"

    @property
    def state(self) -> str:
        """What the bridge writes: models, journal, spool."""
        return f"{self.prefix}/var/lib/fleetward"

    @property
    def config(self) -> str:
        """Settings, credentials and trust."""
        return f"{self.prefix}/etc/fleetward"

    @property
    def settings(self) -> str:
        """FLEETWARD_ variables of the bridge."""
        return f"{self.config}/bridge.env"

    @property
    def credentials(self) -> str:
        """Who the robot is on the bus: a secret."""
        return f"{self.config}/robot.creds"

    @property
    def renewals(self) -> str:
        """What the bridge put in the place of those credentials: secrets too."""
        return f"{self.state}/credentials"

    @property
    def renewed(self) -> str:
        """There when it did."""
        return f"{self.renewals}/renewed"

    @property
    def trust(self) -> str:
        """Whom the robot believes."""
        return f"{self.config}/trust"

    @property
    def started(self) -> str:
        """There while the bridge that runs was started with all that lies here."""
        return f"{self.config}/started"

    @property
    def unit(self) -> str:
        """What systemd starts."""
        return f"{self.prefix}/etc/systemd/system/{UNIT}"

    def release(self, name: str) -> str:
        """One environment."""
        return f"{self.releases}/{name}"

    def complete(self, name: str) -> str:
        """Written last into an environment: without it, what is there is half an installation."""
        return f"{self.release(name)}/complete"
