"""What both halves of the stand-in know: names, and how a model is opened."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types

MARK = b"stand-in engine\n"


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class DeviceType(enum.IntEnum):
    GPU = 0
    DLA = 1


class BuilderFlag(enum.IntEnum):
    GPU_FALLBACK = 3


class TensorIOMode(enum.IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(enum.IntEnum):
    DEVICE = 0
    HOST = 1


class DataType(enum.IntEnum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 8


TYPES = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(int64)": (DataType.INT64, np.int64),
}


class ILogger:
    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2

    def log(self, severity: Severity, msg: str) -> None: ...


def session_of(model: bytes) -> Any:  # noqa: ANN401 (untyped)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def journal(line: str) -> None:
    path = os.environ.get("STAND_IN_JOURNAL")
    if path:
        with Path(path).open("a") as file:
            file.write(f"{line}\n")
