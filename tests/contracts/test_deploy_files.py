"""The compose file and the image say nothing that this repository does not hold."""

from __future__ import annotations

import fnmatch
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import container
from edge_bridge.site_cache import proxy as caching_proxy
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import DEFAULT_BUCKET
from model_registry import keys
from tools.sources import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
RUNS = {
    name: service["command"][3]
    for name, service in SERVICES.items()
    if service["command"][:3] == ["python", "/app/container.py", "run"]
}


def instructions(name: str) -> list[list[str]]:
    """The words after each ``name`` of the Dockerfile, continued lines joined."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"{name} ")]


def sources_copied_from_here() -> list[str]:
    copies = (words for words in instructions("COPY") if not words[0].startswith("--from="))
    return [source for words in copies for source in words[:-1]]


def volumes_of(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = (volume.split(":") for volume in service.get("volumes", []))
    return [(source, target) for source, target, *_ in pairs]


@pytest.mark.parametrize("source", sources_copied_from_here())
def test_what_the_image_copies_exists_and_reaches_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed)


def test_the_image_has_every_distribution_but_the_testkit() -> None:
    copied = sources_copied_from_here()
    for project in ROOT.glob("*/*/pyproject.toml"):
        folder = project.parent.relative_to(ROOT)
        is_copied = folder.as_posix() in copied or folder.parent.as_posix() in copied
        assert is_copied is (folder.name != "testkit"), folder


def test_the_image_does_not_run_as_root() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert "\nUSER fleetward\n" in stages[-1]
    assert all("python:3.11-" in words[0] for words in instructions("FROM"))


def test_everything_that_is_installed_has_a_hash() -> None:
    installs = [words for words in instructions("RUN") if {"install", "sync"} & set(words)]
    assert installs
    assert all("--require-hashes" in words or "--no-deps" in words for words in installs)


def test_every_process_of_the_system_has_a_container(tmp_path: Path) -> None:
    robots = sum(name.startswith("robot-") for name in SERVICES)
    parts = container.Site(tmp_path, robots).parts()
    assert sorted(RUNS.values()) == sorted(parts)
    assert container.main(["--home", str(tmp_path), "run", "no-such-process"]) == 1


def test_prepared_twice_keeps_keys_and_credentials(tmp_path: Path) -> None:
    def secrets() -> dict[Path, bytes]:
        files = [
            *tmp_path.rglob("*.creds"),
            *(path for path in (tmp_path / "keys").rglob("*") if path.is_file()),
        ]
        return {path: path.read_bytes() for path in files}

    assert container.main(["--home", str(tmp_path), "prepare"]) == 0
    first = secrets()
    assert container.main(["--home", str(tmp_path), "prepare"]) == 0
    assert secrets() == first
    assert all(path.stat().st_mode & 0o077 == 0 for path in first)


@pytest.mark.parametrize(("name", "service"), SERVICES.items(), ids=list(SERVICES))
def test_a_container_may_do_little_and_holds_no_secret(
    name: str, service: Mapping[str, Any]
) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "environment" not in service
    assert service["build"]["dockerfile"] == "deploy/Dockerfile"
    assert service["network_mode"] == ("bridge" if name == "pod" else "service:pod")


@pytest.mark.parametrize(("name", "service"), SERVICES.items(), ids=list(SERVICES))
def test_nothing_is_published_beyond_loopback(name: str, service: Mapping[str, Any]) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_volumes_are_declared_and_used() -> None:
    mounted = {source for service in SERVICES.values() for source, _ in volumes_of(service)}
    named = {source for source in mounted if not source.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    homes = {target for service in SERVICES.values() for _, target in volumes_of(service)}
    assert {"/state", str(container.FRAMES)} <= homes


def test_what_one_waits_for_can_come_about() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            awaited = SERVICES[other]
            runs_once = awaited["restart"].startswith("on-failure")
            checked = not awaited["healthcheck"].get("disable", False)
            possible = {
                "service_completed_successfully": runs_once,
                "service_healthy": checked and not runs_once,
            }
            assert possible[wait["condition"]], f"{name} waits for {other}"


def test_the_health_check_reads_the_file_that_the_process_writes() -> None:
    default = container.parser().get_default("ready_file")
    for name in RUNS:
        assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "test", "-f", str(default)]


def test_the_image_carries_the_version_of_the_library() -> None:
    project = tomllib.loads((ROOT / "libs/fleetward/pyproject.toml").read_text("utf-8"))
    images = {service["image"] for service in SERVICES.values()}
    assert images == {f"fleetward:{project['project']['version']}"}


@pytest.mark.parametrize(
    ("key_of", "is_fetched"),
    [
        (keys.pack_key, True),
        (keys.manifest_key, True),
        (keys.delta_key, True),
        (keys.adapter_key, False),
    ],
)
def test_both_site_caches_pass_on_what_robots_fetch_and_nothing_else(
    key_of: Callable[[Digest], str], is_fetched: bool
) -> None:
    conf = (ROOT / "deploy" / "site-cache" / "nginx.conf").read_text("utf-8")
    (passed_on,) = re.findall(r'location ~ "(.+)" \{', conf)
    path = f"/{DEFAULT_BUCKET}/{key_of(Digest('sha256:' + 'a' * 64))}"
    for pattern in (passed_on, caching_proxy._OBJECT.pattern):
        assert bool(re.match(pattern, path)) is is_fetched
        assert not re.match(pattern, f"{path}/../secret")
