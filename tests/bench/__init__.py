"""Benchmarks: measured, never asserted; each compared with a peer or a limit of the same run."""
