"""Whatever stands in an answer, a robot refuses it by name: nothing else is ever raised."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace
from tuf.api.metadata import Metadata

from fleetward.contracts.trust import RoleName
from fleetward.trust.errors import TrustError
from fleetward.trust.following import follow
from fleetward.trust.roles import SNAPSHOT, TARGETS, TIMESTAMP
from testkit.authority import Authority
from tests.unit.trust.thief import DET, DET_ROLE, V1, Robot

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner),
    max_leaves=8,
)
ROLES = some.sampled_from([TIMESTAMP, SNAPSHOT, TARGETS, DET_ROLE])


@lru_cache(maxsize=1)
def authority() -> Authority:
    made = Authority(Path(mkdtemp()))
    made.publish(DET, "v1", V1, 1)
    return made


def refused(role: RoleName | None, content: bytes) -> None:
    """The answer with ``content`` for a role (None: for a root) is refused, or harmless."""
    robot = Robot(authority().anchor())
    asked = robot.ask()
    answer = authority().answer(asked)
    if role is None:
        spoiled = replace(answer, roots=(content,))
    else:
        spoiled = replace(answer, roles={**answer.roles, role: content})
    try:
        follow(robot.kept, asked, spoiled)
    except TrustError:
        return
    assert role is not None
    believed, signed = (Metadata[Any].from_bytes(one) for one in (content, answer.roles[role]))
    assert believed.signed == signed.signed, "what nobody signed was believed"


@settings(max_examples=40)
@given(role=some.none() | ROLES, content=some.binary(max_size=200))
def test_bytes_that_are_nothing(role: RoleName | None, content: bytes) -> None:
    refused(role, content)


@settings(max_examples=40)
@given(role=some.none() | ROLES, value=JSON)
def test_json_that_is_no_metadata(role: RoleName | None, value: object) -> None:
    refused(role, json.dumps(value).encode())


@settings(max_examples=40)
@given(role=some.none() | ROLES, value=JSON, choose=some.data())
def test_metadata_with_anything_in_any_place(
    role: RoleName | None, value: object, choose: some.DataObject
) -> None:
    metadata = json.loads(authority().roles[role] if role else authority().root)
    place: Any = metadata
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = choose.draw(some.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or choose.draw(some.booleans()):
            place[key] = value
            break
        place = place[key]
    refused(role, json.dumps(metadata).encode())


def test_deeply_nested_json_is_refused_and_costs_no_stack() -> None:
    for content in (b"[" * 200_000, b'{"signed":' * 50_000):
        for role in (TIMESTAMP, TARGETS):
            refused(role, content)


def test_a_number_beyond_every_bound_is_refused() -> None:
    for number in ("9" * 5_000, "1e400", "-1", "NaN"):
        content = (
            authority().roles[TIMESTAMP].replace(b'"version":1', b'"version":' + number.encode())
        )
        refused(TIMESTAMP, content)
