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
MOST_SCALE = 4000  # with unit rows, sums of products stay below 2^24, up to which float32 holds every whole number
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
    """Codes plus `SHIFT`, uint8 of int8: the form that the left side of a product has."""
    return np.bitwise_xor(codes.view(np.uint8), np.uint8(SHIFT))


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of codes, int32 [q, n], by whichever kind of numbers is faster here.

    Both give the same: float32 adds whole numbers below 2^24 without rounding.

    Args:
        left: uint8 [q, d], see `shifted`.
        right: int8 [n, d].
    """
    return _int8_products(left, right) if int8_is_faster() else _float_products(left, right)


def multiplier(right: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """`products` with the same right side again and again, which is laid out once.

    To lay it out for 128 rows on the left takes longer than to multiply, if the right side has thousands of rows.
    """
    return _int8_multiplier(right) if int8_is_faster() else _float_multiplier(right)


@cache
def int8_is_faster() -> bool:
    """Whether this machine multiplies int8 matrices exactly, and faster than float32 ones; takes milliseconds.

    Where a processor has no instruction for it, onnxruntime adds in 16 bits, which overflow.
    """
    left, right = np.full((256, 128), 255, np.uint8), np.full((256, 128), LEVELS, np.int8)
    spent, found = [], []
    for work in (_int8_products, _float_products):
        times = []
        for _ in range(TIMED):  # the first are slow: memory is got, and units for matrices wake up
            started = time.thread_time()
            product = work(left, right)
            times.append(time.thread_time() - started)
        spent.append(min(times))
        found.append(product)
    found.append(_int8_multiplier(right)(left))
    return spent[0] < spent[1] and all(np.array_equal(each, found[1]) for each in found)


def _int8_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    found: np.ndarray = _session().run(None, {"left": left, "right": right})[0]
    return found


def _float_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return _float_multiplier(right)(left)


def _int8_multiplier(right: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    session = _session_with(right)
    return lambda left: np.asarray(session.run(None, {"left": left})[0])


def _float_multiplier(right: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    columns = right.astype(np.float32).T
    return lambda left: np.asarray((left.astype(np.float32) - np.float32(SHIFT)) @ columns, dtype=np.int32)


@cache
def _session() -> Any:
    """A session of onnxruntime that multiplies any two sides."""
    return _session_with(None)


def _session_with(right: np.ndarray | None) -> Any:
    """A session of onnxruntime that multiplies, ``(left - shift) @ right.T``, in the thread that calls it.

    PyTorch is as fast, but takes half a GiB.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    inputs = [helper.make_tensor_value_info("left", TensorProto.UINT8, ["q", "d"])]
    nodes, constants = [], [numpy_helper.from_array(np.array(SHIFT, np.uint8), "shift")]
    if right is None:
        inputs.append(helper.make_tensor_value_info("right", TensorProto.INT8, ["n", "d"]))
        nodes.append(helper.make_node("Transpose", ["right"], ["columns"]))
    else:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(right.T), "columns"))
    nodes.append(helper.make_node("MatMulInteger", ["left", "columns", "shift"], ["found"]))
    output = helper.make_tensor_value_info("found", TensorProto.INT32, ["q", "n"])
    graph = helper.make_graph(nodes, "products", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_cpu_mem_arena = 1, False
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
