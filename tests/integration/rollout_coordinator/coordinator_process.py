"""Real ``python -m rollout_coordinator`` processes, started, killed and started again."""

from __future__ import annotations

from pathlib import Path

from fleetward.contracts.rows import Principal
from fleetward.local.child import Launch
from fleetward.trust.signing import TARGET, SigningKey
from testkit import forked
from testkit.servers import NatsSystem
from testkit.service_process import ServiceProcess


class CoordinatorProcess(ServiceProcess):
    """One replica; ``key`` (of ``signing_key``) signs the targets of all of them."""

    def __init__(
        self, system: NatsSystem, directory: Path, key: Path, launch: Launch = forked.launch
    ) -> None:
        environment = environment_of(system, directory, key)
        super().__init__("rollout_coordinator", directory, environment, launch)


def environment_of(system: NatsSystem, directory: Path, key: Path) -> dict[str, str]:
    """What a replica is started with."""
    return {
        "FLEETWARD_NATS_URL": system.url,
        "FLEETWARD_CREDENTIALS": str(system.credentials(Principal.COORDINATOR)),
        "FLEETWARD_SIGNING_KEY": str(key),
        "FLEETWARD_TRUST_DIR": str(key.parent / "trust"),
        "FLEETWARD_TRACES_DIR": str(directory / "traces"),
    }


def signing_key(directory: Path) -> Path:
    """A new key for targets, its public half trusted by whoever reads ``directory``/trust."""
    trust = directory / "trust"
    trust.mkdir(parents=True)
    path = directory / "target.seed"
    SigningKey.create(path).publish(trust, TARGET)
    return path
