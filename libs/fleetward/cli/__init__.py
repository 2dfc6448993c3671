"""The fleetward command: what a person types."""
