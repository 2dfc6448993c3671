"""Why the registry says no: one class per cause, one root, messages made for people."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class RegistryError(FleetwardError):
    """Root of every refusal and failure of the model registry."""


class PassingError(RegistryError):
    """Nothing is wrong with what was asked: the registry, its disk or its store could not do it."""


class UploadKeyError(RegistryError):
    """The named object is not an upload: adopting it could touch somebody else's bytes."""


class ObjectMissingError(RegistryError):
    """The bucket has no object under a key."""


class PackMissingError(RegistryError):
    """A chunk manifest names a pack that does not stand in the bucket."""


class UploadMissingError(RegistryError):
    """No object lies where the request says that the upload is."""


class UploadIncompleteError(RegistryError):
    """The uploaded object has another size than the client claims."""


class DigestMismatchError(RegistryError):
    """The uploaded bytes are not the bytes that the client claims."""


class ModelTooLargeError(RegistryError):
    """The file is over the registry's size limit."""


class ModelRefusedError(RegistryError):
    """The file is not a model that robots could run safely."""


class InspectionFailedError(RegistryError):
    """The inspection ended without a verdict: out of memory, out of time, or killed."""


class VersionTakenError(RegistryError):
    """``name:version`` exists already with other bytes; versions are immutable."""


class VariantRefusedError(RegistryError):
    """What is said of a variant's robots is not clear, or its version stands for good already."""


class TooManyVersionsError(RegistryError):
    """A model name holds as many versions as one record may."""


class ManifestTooLargeError(RegistryError):
    """Metadata and tensor names are more than a manifest may carry."""


class UnknownModelError(RegistryError):
    """No model, or no version of it, has this name."""


class TooManyHeldSetsError(RegistryError):
    """More kinds of robots than one quote is made for."""


class AliasConflictError(RegistryError):
    """The alias does not name what the caller expected: somebody moved it first."""


class DescriptionRefusedError(RegistryError):
    """Lineage, licence or model card cannot be kept or read as they are."""


class JudgementRefusedError(RegistryError):
    """What was asked for a version cannot be written down."""


class WithdrawnError(RegistryError):
    """These bytes were withdrawn: nobody is given them any more."""


class GateError(RegistryError):
    """No gate is written like this."""


class GateMissingError(RegistryError):
    """The version lacks something that the alias demands."""


class ReportRefusedError(RegistryError):
    """The validation report cannot be read, is not about this version, or is not signed."""


class PreflightFailedError(RegistryError):
    """The preflight ended without a verdict."""


class FetchNotGrantedError(RegistryError):
    """The robot's own target does not name the digest it asks for."""


class PreparationStoppedError(RegistryError):
    """The process ends, and with it what it prepared in the background."""


class RegistryBusyError(PassingError):
    """Too many writers raced for one record; nothing was changed."""


class ObjectStoreError(PassingError):
    """The object store did not answer as it should; nothing was changed."""


class ScratchSpaceError(PassingError):
    """The registry's own disk could not take the upload; nothing was changed."""


class RecordingRefusedError(RegistryError):
    """No recording of this size is taken from robots."""


class EngineRefusedError(RegistryError):
    """A robot's engine is too large, or not signed with a key of that robot."""


class SegmentRefusedError(RegistryError):
    """No segment of this size is taken from robots."""


class UnknownSegmentError(RegistryError):
    """The robot has no stored segment of this name."""


class UnknownRecordingError(RegistryError):
    """The robot has no stored recording of this name."""
