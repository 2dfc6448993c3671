"""Prometheus rule files, read and judged on one robot's samples: by the hub, and by the robot itself.

Judging is pure. Only reading a file needs ``fleetward[rules]``.
"""
