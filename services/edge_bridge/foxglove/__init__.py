"""Frames, results, signals and log of the robot, live in Foxglove; its SDK is loaded when asked for."""
