"""TensorRT engines: what they are built from, and how; the same code on robots and in the registry."""
