"""Models: what exists and may be trusted, in the stream MODELS."""

from __future__ import annotations

from fleetward.contracts.curation import ModelCard, ModelCuration, SignedWithdrawals
from fleetward.contracts.judgements import (
    GatesRequired,
    ModelApproved,
    ModelDeprecated,
    ModelPreflighted,
    ModelsRetired,
    ModelWithdrawn,
    ValidationReported,
)
from fleetward.contracts.registry import AliasMoved, ModelPublished, ModelRecord
from fleetward.contracts.rows import MIB, PEOPLE, EventRow, Principal, StreamName
from fleetward.contracts.trust import RoleSigned, RootPublished

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=ModelRecord,
        subject="model.record.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per publish or alias move",
        size_limit_bytes=4 * MIB,
        readers=(_P.REGISTRY, _P.COORDINATOR, *PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=ModelPublished,
        subject="model.published.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per version",
        readers=PEOPLE,
        listeners=PEOPLE,
    ),
    EventRow(
        event=AliasMoved,
        subject="model.alias_moved.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="a few per model and week",
        readers=PEOPLE,
        listeners=PEOPLE,
    ),
    EventRow(
        event=ModelCuration,
        subject="model.curation.v1.{name}.{release}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per version and whatever is said of it",
        readers=(_P.REGISTRY, *PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=ModelCard,
        subject="model.card.v1.{name}.{release}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per version that has one",
        size_limit_bytes=256 * 1024,
        readers=(_P.REGISTRY, *PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=SignedWithdrawals,
        subject="model.withdrawals.v1",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per withdrawal",
        size_limit_bytes=2 * MIB,
        readers=(_P.REGISTRY, _P.COORDINATOR, _P.ROBOT, *PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=ModelDeprecated,
        subject="model.deprecated.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=ModelWithdrawn,
        subject="model.withdrawn.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=ModelPreflighted,
        subject="model.preflighted.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one or two per version",
        listeners=PEOPLE,
    ),
    EventRow(
        event=ValidationReported,
        subject="model.validation_reported.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="a few per version",
        readers=PEOPLE,
        listeners=PEOPLE,
    ),
    EventRow(
        event=ModelApproved,
        subject="model.approved.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="a few per version",
        listeners=PEOPLE,
    ),
    EventRow(
        event=GatesRequired,
        subject="model.gates_required.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=ModelsRetired,
        subject="model.retired.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RootPublished,
        subject="trust.root_published.v1.{version}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per rotation of keys",
        readers=(_P.REGISTRY, _P.ENROLLER, _P.OPERATOR),
        listeners=(_P.OPERATOR,),
    ),
    EventRow(
        event=RoleSigned,
        subject="trust.role_signed.v1.{role}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="three per publish, and one timestamp every 10 minutes",
        size_limit_bytes=1 * MIB,
        readers=(_P.REGISTRY, _P.ENROLLER, _P.OPERATOR),
        newest_only=True,
    ),
)
