"""How a model's bytes travel: cut at tensors, stored once, moved only where they changed."""
