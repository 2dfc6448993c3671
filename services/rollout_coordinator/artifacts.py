"""Which artifacts a request means, and which of them each robot is given. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.bridge_release import BRIDGE_MODEL, extras_told
from fleetward.contracts.ids import Digest, ModelRef, ModelSelector, RobotId, Version
from fleetward.contracts.members import Member
from fleetward.contracts.registry import ModelRecord, Variant
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollouts import RobotProgress
from fleetward.contracts.variants import digest_of_all, fitting, named, variant_of
from rollout_coordinator.errors import PlanRefusedError


class Wanted(Struct, frozen=True):
    """A version, and its artifacts: a single one for everybody, or one for each kind of robot.

    extras: of the bridge, that its releases bring, as far as that is known.
    """

    model: ModelRef
    artifacts: tuple[Variant, ...]
    extras: Mapping[Digest, frozenset[str]] = {}

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The artifacts, unless everybody is given the same one."""
        is_plain = len(self.artifacts) == 1 and not self.artifacts[0].fits
        return () if is_plain else self.artifacts

    @property
    def digest(self) -> Digest:
        """What stands for all that is given."""
        return digest_of_all(self.variants) if self.variants else self.artifacts[0].digest

    @property
    def as_member(self) -> Member:
        """What a rollout holds of it beside its own model."""
        return Member(model=self.model, digest=self.digest, variants=self.variants)

    def with_only(self, given: Iterable[Variant]) -> Wanted:
        """Without what nobody is given: its withdrawal would be no news to anybody."""
        left = set(given)
        return replace(self, artifacts=tuple(each for each in self.artifacts if each in left))


class Chosen(Struct, frozen=True):
    """Each robot's artifact; ``misfits``: why others have none.

    ``beside``: those of the models that switch together with it, in their order.
    """

    of: dict[RobotId, Variant]
    misfits: dict[RobotId, str]
    beside: dict[RobotId, tuple[Variant, ...]] = {}

    def every(self, robot: RobotId) -> tuple[Variant, ...]:
        """All that the robot is given."""
        return (self.of[robot], *self.beside.get(robot, ()))


def wanted_by(asked: ModelSelector, record: ModelRecord | None) -> Wanted:
    """The version that is asked for; raises PlanRefusedError."""
    if record is None:
        raise PlanRefusedError(
            f"no model is called {asked.name!r}. `fleetward model list` shows what exists; "
            "`fleetward model push` publishes."
        )
    version = _version(asked, record)
    found = named(record, version)
    if found and version is not None:
        artifacts = tuple(variant_of(each.manifest) for each in found)
        return Wanted(ModelRef(asked.name, version), artifacts, extras_of(record))
    known = ", ".join(candidate.manifest.model.version for candidate in record.versions[-5:])
    raise PlanRefusedError(
        f"model {asked.name!r} has no version {version!r}; the newest are: {known or 'none'}."
    )


def extras_of(record: ModelRecord | None) -> dict[Digest, frozenset[str]]:
    """The extras of the bridge that each release brings; of models nothing."""
    if record is None or record.name != BRIDGE_MODEL:
        return {}
    manifests = [each.manifest for each in record.versions]
    return {each.digest: extras_told(each.metadata) for each in manifests}


def _version(asked: ModelSelector, record: ModelRecord) -> Version | None:
    if asked.alias is None:
        return asked.version
    if asked.alias not in record.aliases:
        known = ", ".join(sorted(record.aliases)) or "none"
        raise PlanRefusedError(
            f"model {asked.name!r} has no alias {asked.alias!r}; its aliases are: {known}. "
            "`fleetward model alias` sets one."
        )
    return record.aliases[asked.alias]


def chosen(artifacts: tuple[Variant, ...], robots: Iterable[RobotEnrolled]) -> Chosen:
    """What each robot is given, by its labels as they are now."""
    fits = fitting(artifacts)
    found = {robot.robot_id: fits(robot.labels) for robot in robots}
    return Chosen(
        of={robot: artifacts[it] for robot, it in found.items() if isinstance(it, int)},
        misfits={robot: it for robot, it in found.items() if isinstance(it, str)},
    )


def settled(
    standing: Mapping[RobotId, RobotProgress],
    given: Mapping[RobotId, Variant],
    variants: tuple[Variant, ...],
) -> dict[RobotId, RobotProgress]:
    """The robots, each with the variant that it is given from now on."""
    if not variants:
        return dict(standing)
    number = {variant: at for at, variant in enumerate(variants)}
    return {
        robot: replace(progress, variant=number[given[robot]])
        for robot, progress in standing.items()
    }
