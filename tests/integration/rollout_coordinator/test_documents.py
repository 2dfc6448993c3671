"""The fleet as files: applied twice it changes nothing, and what may not change is refused whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.cli.document_files import read_documents
from fleetward.client import Fleet as Client
from fleetward.client.access import Access
from fleetward.client.documents import Change, apply, difference
from fleetward.client.errors import ClientError
from fleetward.contracts.documents import RolloutDocument
from fleetward.contracts.rollouts import RolloutState
from fleetward.contracts.rows import Principal
from tests.integration.rollout_coordinator.fleet import Fleet

DOCUMENTS = """\
apiVersion: fleetward/v1
kind: Site
name: berlin
policy: {floor: 1}
---
apiVersion: fleetward/v1
kind: RobotLabels
name: berlin-1
labels: {tag: demo}
---
apiVersion: fleetward/v1
kind: Rollout
name: night-17
model: detector:2
to: site=berlin and tag=demo
policy: {bake_s: 0.2, min_inferences: 5}
"""


async def test_documents_make_the_fleet_so_and_a_second_time_change_nothing(
    fleet: Fleet, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(DOCUMENTS)
    documents = [each.document for each in read_documents([path])]
    operator = Access(bus=fleet.system.settings(Principal.OPERATOR))
    enroller = Access(bus=fleet.system.settings(Principal.ENROLLER))
    async with Client.connect(access=operator) as people, Client.connect(access=enroller) as rights:
        first = [await apply(people, rights, each, "ann") for each in documents]
        assert [known.change for known in first] == [Change.CREATE, Change.UPDATE, Change.CREATE]
        ended = await people.wait_rollout("night-17", timeout_s=60)
        assert (ended.state, list(ended.robots)) == (RolloutState.SUCCEEDED, ["berlin-1"])

        again = [await apply(people, rights, each, "ann") for each in documents]
        assert {known.change for known in again} == {Change.UNCHANGED}

        rollout = documents[-1]
        assert isinstance(rollout, RolloutDocument)
        changed = replace(rollout, model="detector:3")
        found = await difference(people, changed)
        assert found.fields == {"model": ('"detector:2"', '"detector:3"')}
        with pytest.raises(ClientError, match="Give this one another name"):
            await apply(people, rights, changed, "ann")
