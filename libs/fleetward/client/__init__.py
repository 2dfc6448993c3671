"""The fleet from a program: publish models, roll them out, read telemetry, raise alerts."""

from fleetward.client.alerts import AlertState, AlertStatus
from fleetward.client.curation import Curated, Curation
from fleetward.client.descriptions import Description
from fleetward.client.errors import (
    ClientError,
    FileRefusedError,
    NoSystemError,
    RolloutRefusedError,
    RolloutTimeoutError,
    UnknownModelError,
    UnknownRolloutError,
    UploadError,
)
from fleetward.client.fleet import Fleet
from fleetward.client.robots import RobotStatus
from fleetward.client.sites import SitePolicies, SiteStatus, UnknownSiteError
from fleetward.client.telemetry import samples_of

__all__ = [
    "AlertState",
    "AlertStatus",
    "ClientError",
    "Curated",
    "Curation",
    "Description",
    "FileRefusedError",
    "Fleet",
    "NoSystemError",
    "RobotStatus",
    "RolloutRefusedError",
    "RolloutTimeoutError",
    "SitePolicies",
    "SiteStatus",
    "UnknownModelError",
    "UnknownRolloutError",
    "UnknownSiteError",
    "UploadError",
    "samples_of",
]
