"""Sealed files leave the robot: kept on disk within a bound, each stored once, on from where it stopped."""
