"""Fleetward's public package: deliver AI models to robots and prove that they work there."""

__version__ = "0.1.0"
