"""Documents are read whole and strictly; what is wrong is named with its file and line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleetward.cli.document_files import DocumentError, read_documents
from fleetward.contracts.documents import RolloutDocument, documents_schema
from fleetward.contracts.rollouts import RolloutPolicy, Strategy

EXAMPLES = Path(__file__).parents[3] / "examples" / "fleet"

ROLLOUT = """\
apiVersion: fleetward/v1
kind: Rollout
name: night-17
model: detector:2.0
to: site=berlin
policy:
  bake_s: 5
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "fleet.yaml"
    path.write_text(text)
    return path


def test_the_example_is_a_fleet() -> None:
    titles = [each.title for each in read_documents([EXAMPLES])]
    assert titles == ["Site lab", "RobotLabels robot-1", "Rollout detector-1-4-0"]


def test_what_is_not_written_keeps_its_default(tmp_path: Path) -> None:
    (only,) = read_documents([written(tmp_path, ROLLOUT)])
    assert isinstance(only.document, RolloutDocument)
    assert only.document.strategy is Strategy.CANARY
    assert only.document.policy == RolloutPolicy(bake_s=5)
    assert only.document.together == ()
    (whole,) = read_documents([written(tmp_path, f"{ROLLOUT}together: ['segmenter:2.0']\n")])
    assert isinstance(whole.document, RolloutDocument)
    assert whole.document.together == ("segmenter:2.0",)


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("bake_s: 5", "bake: 5", 7, "Rollout has no field 'policy.bake'"),
        ("bake_s: 5", "bake_s: soon", 7, "expected `float`, got `str` (policy.bake_s)"),
        ("bake_s: 5", "bake_s: -1", 1, "policy bake_s is -1.0"),
        ("kind: Rollout", "kind: Rollouts", 2, "kind is one of Rollout, Site, RobotLabels"),
        ("fleetward/v1", "fleetward/v2", 1, "apiVersion is fleetward/v1"),
        ("detector:2.0", "detector@stable", 1, "names an alias"),
        ("to: site", "together: ['segmenter@stable']\nto: site", 1, "names an alias"),
        ("site=berlin", "site=", 1, "the selector is not valid"),
        ("to: site=berlin\n", "", 1, "missing required field `to`"),
        ("name: night-17", "name: '*'", 3, "this is no name"),
        ("model: detector:2.0", "model: &a detector:2.0\nto2: *a", 5, "aliases (*a) are not read"),
        ("policy:", "policy: {", 8, "this is not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, complaint: str
) -> None:
    path = written(tmp_path, ROLLOUT.replace(old, new))
    with pytest.raises(DocumentError) as told:
        read_documents([path])
    assert str(told.value).startswith(f"{path}:{line}: ")
    assert complaint in str(told.value)


def test_one_name_stands_once(tmp_path: Path) -> None:
    path = written(tmp_path, f"{ROLLOUT}---\n{ROLLOUT}")
    with pytest.raises(DocumentError, match="Rollout night-17 is also in"):
        read_documents([path])


def test_a_file_that_is_not_there_and_an_empty_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="it cannot be read: No such file"):
        read_documents([tmp_path / "none.yaml"])
    with pytest.raises(DocumentError, match="no file there ends with"):
        read_documents([tmp_path])


def test_the_schema_knows_every_kind_and_field() -> None:
    schema = documents_schema()
    assert set(schema["discriminator"]["mapping"]) == {"Rollout", "Site", "RobotLabels"}
    assert set(schema["$defs"]["RolloutPolicy"]["properties"]) == set(
        RolloutPolicy.__struct_fields__
    )
    assert msgspec.json.encode(schema)
