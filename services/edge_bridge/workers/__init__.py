"""Blue and green: worker processes, the ring that carries frames to them, and the account of every frame."""
