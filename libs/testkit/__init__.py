"""What tests share: a clock that only moves when told, simulated robots, faults on demand."""
