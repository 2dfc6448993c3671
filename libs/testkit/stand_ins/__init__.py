"""TensorRT and CUDA for machines that have neither: put this folder on PYTHONPATH of what imports them.

They check the order of calls as the real ones would and compute with ONNX Runtime on host memory. Seen
with them: what the bridge does. Not seen: what a GPU does.
"""
