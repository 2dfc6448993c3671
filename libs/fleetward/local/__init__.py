"""The whole system as real processes on one machine, under one supervisor."""
