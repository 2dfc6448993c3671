from pathlib import Path

import pytest

from examples.demo import releases, wheels


@pytest.fixture(scope="session")
def released() -> Path:
    """The directory of the demo's releases, made on first use as `make models` makes it."""
    destination = wheels.REPOSITORY / releases.DESTINATION
    releases.materialise(destination)
    return destination
