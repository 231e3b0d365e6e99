"""Embeddings as whole numbers of 8 bits, and their products: the same on every machine, for any number of threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

LEVELS = 127
SHIFT = 128
MOST_SCALE = 4000  # with unit rows, products stay below 2^24
CLIPPED = 1e-4
TIMED = 20
DEVIATIONS = 4


@dataclass(frozen=True)
class Quantiser:
    """Rounds unit rows to int8 codes.

    Attributes:
        scale: An embedding's number 1 / scale has the code 1.
        slack: Largest difference of a cosine from that of the codes, but for one or two pairs in a thousand.
    """

    scale: float
    slack: float

    @classmethod
    def of(cls, sample: np.ndarray) -> Quantiser:
        """For rows like these, float32 [n, d]: the largest numbers, one in ten thousand, are clipped.

        A product of two codes misses ``e_i . x_j + e_j . x_i``, with the rounding errors e. Over random directions its
        deviation is ``sqrt(2 / d)`` times the length of an error.
        """
        scale = min(LEVELS / max(float(np.quantile(np.abs(sample), 1 - CLIPPED)), 1e-6), MOST_SCALE)
        errors = sample - cls(scale, 0).encode(sample) / np.float32(scale)
        deviation = np.sqrt(np.mean(np.einsum("nd,nd->n", errors, errors)) * 2 / sample.shape[1])
        return cls(scale, float(DEVIATIONS * deviation))

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Int8 [n, d] of float32 [n, d]."""
        return np.clip(np.rint(rows * np.float32(self.scale)), -LEVELS, LEVELS).astype(np.int8)

    def score(self, cosines: np.ndarray) -> np.ndarray:
        """Int32: the products of codes that stand for some cosines."""
        return np.floor(cosines * self.scale**2).astype(np.int32)


def shifted(codes: np.ndarray) -> np.ndarray:
    """Codes plus `SHIFT`, uint8 of int8."""
    return np.bitwise_xor(codes.view(np.uint8), np.uint8(SHIFT))


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of codes, int32 [q, n].

    Args:
        left: uint8 [q, d], see `shifted`.
        right: int8 [n, d].
    """
    return _products(left, right if int8_is_better() else shifted(right))


def multiplier(right: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """`products` with the same right side again and again, which is laid out once.

    To lay it out for 128 rows on the left takes longer than to multiply, if the right side has thousands of rows.
    """
    return _multiplier(right if int8_is_better() else shifted(right))


@cache
def int8_is_better() -> bool:
    """Whether this machine multiplies uint8 by int8 exactly, and faster than uint8 by uint8; takes milliseconds.

    Where a processor has no instruction for it, onnxruntime adds products of int8 in 16 bits, which overflow. Products
    of uint8 are always exact.
    """
    left, right = np.full((256, 128), 255, np.uint8), np.full((256, 128), LEVELS, np.int8)
    spent, found = [], []
    for side in (right, shifted(right)):
        times = []
        for _ in range(TIMED):  # the first are slow: memory is got, and units for matrices wake up
            started = time.thread_time()
            product = _products(left, side)
            times.append(time.thread_time() - started)
        spent.append(min(times))
        found.append(product)
    found.append(_multiplier(right)(left))
    return spent[0] < spent[1] and all(np.array_equal(each, found[1]) for each in found)


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of codes on the right, int8, or of `shifted` ones, uint8."""
    found: np.ndarray = _session(right.dtype).run(None, {"left": left, "right": right})[0]
    return found


def _multiplier(right: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    session = _session_with(right.dtype, right)
    return lambda left: np.asarray(session.run(None, {"left": left})[0])


@cache
def _session(kind: np.dtype) -> Any:
    """A session of onnxruntime that multiplies any two sides, the right one of this kind."""
    return _session_with(kind)


def _session_with(kind: np.dtype, right: np.ndarray | None = None) -> Any:
    """A session of onnxruntime that multiplies codes in the thread that calls it; uint8 counts from `SHIFT`.

    PyTorch is as fast, but takes half a GiB.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    inputs = [helper.make_tensor_value_info("left", TensorProto.UINT8, ["q", "d"])]
    zeros = ["shift", "shift"] if kind == np.uint8 else ["shift"]
    nodes, constants = [], [numpy_helper.from_array(np.array(SHIFT, np.uint8), "shift")]
    if right is None:
        inputs.append(helper.make_tensor_value_info("right", helper.np_dtype_to_tensor_dtype(kind), ["n", "d"]))
        nodes.append(helper.make_node("Transpose", ["right"], ["columns"]))
    else:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(right.T), "columns"))
    nodes.append(helper.make_node("MatMulInteger", ["left", "columns", *zeros], ["found"]))
    output = helper.make_tensor_value_info("found", TensorProto.INT32, ["q", "n"])
    graph = helper.make_graph(nodes, "products", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_cpu_mem_arena = 1, False
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
