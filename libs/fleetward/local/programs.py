"""Which processes a system consists of, and exactly what each is told in its environment."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from fleetward.contracts.accounts import Account
from fleetward.contracts.ids import RobotId, robot_id
from fleetward.contracts.registry import DEFAULT_BUCKET
from fleetward.contracts.rows import Principal
from fleetward.local import binaries
from fleetward.local.authority import online_keys_of, prepare_root, root_of, rules_key_of
from fleetward.local.child import Child, Command, Launch
from fleetward.local.errors import MissingPartError
from fleetward.local.home import Addresses, Home
from fleetward.local.ports import LOOPBACK
from fleetward.trust import signing
from fleetward.trust.ceremony import key_at
from fleetward.trust.identities import Identities

SERVICES: Mapping[Principal, str] = MappingProxyType(
    {
        Principal.REGISTRY: "model_registry",
        Principal.COORDINATOR: "rollout_coordinator",
        Principal.INGEST: "telemetry_ingest",
        Principal.ALERTING: "alerting",
    }
)
BRIDGE = "edge_bridge"
FACTS_FILE = "facts.json"
"""In a robot's directory: what its own program would say, for interlocks and selectors."""
STATE_DIRECTORIES: Mapping[Principal, str] = {Principal.INGEST: "telemetry"}
"""Where it is not simply the service's own name."""


class Robot(Struct, frozen=True, kw_only=True):
    """One robot of a local fleet. environment: added to its bridge's."""

    robot_id: RobotId
    labels: Mapping[str, str]
    environment: Mapping[str, str] = {}


class Settings(Struct, frozen=True, kw_only=True):
    """What a local system shall be.

    services: principal -> module to run. environment: process name -> variables added for that
    process. programs: module or process name -> arguments to start instead of ``python -m``.
    launch: what starts services and bridges.
    """

    home: Path
    robots: Sequence[Robot]
    services: Mapping[Principal, str] = SERVICES
    environment: Mapping[str, Mapping[str, str]] = {}
    programs: Mapping[str, Sequence[str]] = {}
    launch: Launch = Child.start


def fleet(count: int, environment: Mapping[str, str] | None = None) -> list[Robot]:
    """``robot-1`` to ``robot-<count>`` of the site ``lab``, each with its index as a label."""
    return [
        Robot(
            robot_id=robot_id(f"robot-{index}"),
            labels={"site": "lab", "hw": "x86", "index": str(index)},
            environment=environment or {},
        )
        for index in range(1, count + 1)
    ]


def process_of(robot: RobotId) -> str:
    """The name of a robot's bridge among the processes."""
    return f"edge-bridge.{robot}"


def commands_key(home: Home) -> Path:
    """The coordinator's key, made on the first start together with a root that names it."""
    path = home.keys / f"signing-{signing.TARGET}.key"
    commands = key_at(path)
    commands.publish(home.trust, signing.TARGET)
    prepare_root(home, commands)
    return path


def check_installed(settings: Settings) -> None:
    """Raise MissingPartError when a service or a server is not there to be started."""
    binaries.nats_server()
    binaries.weed()
    for module in (*settings.services.values(), BRIDGE):
        if module not in settings.programs and not _is_installed(module):
            raise MissingPartError(
                f"the service {module} cannot be run: there is no module {module}.__main__. "
                "Install it, in a checkout with: make setup"
            )


class Programs:
    """Composes the command of every process of one system."""

    def __init__(
        self, settings: Settings, home: Home, addresses: Addresses, identities: Identities
    ) -> None:
        self._settings = settings
        self._home = home
        self._addresses = addresses
        self._identities = identities
        self._commands_key = commands_key(home)

    def services(self) -> list[Command]:
        """The commands of the control plane."""
        return [
            self._service(principal, module)
            for principal, module in self._settings.services.items()
        ]

    def bridges(self) -> list[Command]:
        """The commands of the robots."""
        return [self._bridge(robot) for robot in self._settings.robots]

    def _service(self, principal: Principal, module: str) -> Command:
        directory = self._home.path / STATE_DIRECTORIES.get(principal, principal.value)
        return self._command(
            principal.value,
            module,
            directory,
            {
                "FLEETWARD_CREDENTIALS": str(self._identities.issue(principal)),
                **self._only_for(principal),
            },
        )

    def _only_for(self, principal: Principal) -> dict[str, str]:
        own: dict[str, str] = {}
        if principal is Principal.COORDINATOR:
            own["FLEETWARD_SIGNING_KEY"] = str(self._commands_key)
            own["FLEETWARD_TRUST_DIR"] = str(self._home.trust)
        if principal is Principal.ALERTING:
            own["FLEETWARD_RULES_DIR"] = str(self._home.rules)
            if rules_key_of(self._home).exists():
                own["FLEETWARD_SIGNING_KEY"] = str(rules_key_of(self._home))
        if principal is Principal.REGISTRY:
            key = self._addresses.store_keys.registry
            own["FLEETWARD_S3_ENDPOINT"] = self._addresses.store_ports.endpoint
            own["FLEETWARD_S3_ACCESS_KEY"] = key.access_key
            own["FLEETWARD_S3_SECRET_KEY"] = key.secret_key
            own["FLEETWARD_S3_BUCKET"] = DEFAULT_BUCKET
            own["FLEETWARD_ROOT"] = str(root_of(self._home))
            own["FLEETWARD_ONLINE_KEYS"] = str(online_keys_of(self._home))
            own["FLEETWARD_ROBOT_SIGNER"] = str(self._identities.renewer_seed)
            own["FLEETWARD_ROBOT_ACCOUNT"] = self._identities.accounts[Account.EDGE].public
        return own

    def _bridge(self, robot: Robot) -> Command:
        credentials = self._identities.issue_robot(robot.robot_id)
        directory = self._home.robots / robot.robot_id
        return self._command(
            process_of(robot.robot_id),
            BRIDGE,
            directory,
            {
                "FLEETWARD_CREDENTIALS": str(credentials),
                "FLEETWARD_ROBOT_ID": robot.robot_id,
                "FLEETWARD_TRUST_DIR": str(self._home.trust),
                "FLEETWARD_FRAMES_DIR": str(self._home.frames),
                "FLEETWARD_FACTS_FILE": str(directory / FACTS_FILE),
                **robot.environment,
            },
        )

    def _command(self, name: str, module: str, directory: Path, own: Mapping[str, str]) -> Command:
        directory.mkdir(parents=True, exist_ok=True)
        start = self._settings.programs.get(module, [sys.executable, "-m", module])
        return Command(
            name=name,
            arguments=self._settings.programs.get(name, start),
            environment={
                "FLEETWARD_NATS_URL": nats_url(self._addresses),
                "FLEETWARD_STATE_DIR": str(directory),
                "FLEETWARD_TRACES_DIR": str(self._home.traces),
                **own,
                **self._settings.environment.get(name, {}),
            },
            directory=directory,
            log=self._home.log(name),
        )


def nats_url(addresses: Addresses) -> str:
    """Where the bus of a local system is."""
    return f"nats://{LOOPBACK}:{addresses.nats_port}"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(f"{module}.__main__") is not None
    except ModuleNotFoundError:
        return False
