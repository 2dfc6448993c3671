"""What every test gets: property tests that do not fail for being on a busy machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Two cores may serve a NATS server and a robot beside the test: no deadline for one example.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("house")

# Real servers: nats_system, shared_nats_system, object_store.
pytest_plugins = ["testkit.servers"]
