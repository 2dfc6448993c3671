"""What libraries import only in case stays out of our processes, and usable for who needs it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from fleetward.unused import hidden

NAME = "imported_in_case"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that can be imported and was not yet."""
    (tmp_path / f"{NAME}.py").write_text("LOADED = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    return NAME


def test_hidden_package_is_not_found_within_and_found_after(package: str) -> None:
    with hidden(package), pytest.raises(ImportError):
        importlib.import_module(package)
    assert importlib.import_module(package).LOADED


def test_hidden_package_is_found_after_a_failure(package: str) -> None:
    with pytest.raises(ZeroDivisionError), hidden(package):
        raise ZeroDivisionError
    assert importlib.import_module(package).LOADED


def test_package_that_is_loaded_already_stays(package: str) -> None:
    loaded = importlib.import_module(package)
    with hidden(package):
        assert importlib.import_module(package) is loaded


@pytest.mark.parametrize("module", ["fleetward.client.fleet", "edge_bridge.__main__"])
def test_who_checks_signatures_does_not_load_boto3(module: str) -> None:
    asked = (
        f"import sys, {module}; print('securesystemslib' in sys.modules, 'boto3' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "False"]
