"""An authority that has published one version of one model, and a robot that knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from testkit.authority import Authority
from tests.unit.trust.thief import DET, V1, Robot


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """It has published ``det:v1``."""
    made = Authority(tmp_path)
    made.publish(DET, "v1", V1, 1)
    return made


@pytest.fixture
def robot(authority: Authority) -> Robot:
    """Enrolled, and it has asked once."""
    made = Robot(authority.anchor())
    made.refresh(authority)
    return made
