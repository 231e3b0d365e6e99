"""Embeddings as whole numbers of 8 bits, and their products: the same on every machine, for any number of threads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

LEVELS = 127
SHIFT = 128
MOST_SCALE = 4000  # with unit rows, sums of products stay below 2^24, up to which float32 holds every whole number
CLIPPED = 1e-4
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


@cache
def int8_is_faster() -> bool:
    """Whether this machine multiplies int8 matrices exactly, and faster than float32 ones; takes milliseconds.

    Where a processor has no instruction for it, onnxruntime adds in 16 bits, which overflow.
    """
    left, right = np.full((256, 128), 255, np.uint8), np.full((256, 128), LEVELS, np.int8)
    spent, found = [], []
    for work in (_int8_products, _float_products):
        work(left[:8], right)
        started = time.perf_counter()
        found.append(work(left, right))
        spent.append(time.perf_counter() - started)
    return spent[0] < spent[1] and bool(np.array_equal(found[0], found[1]))


def _int8_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    found: np.ndarray = _session().run(None, {"left": left, "right": right, "shift": np.array(SHIFT, np.uint8)})[0]
    return found


def _float_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    signed = left.astype(np.float32) - np.float32(SHIFT)
    return np.asarray(signed @ right.astype(np.float32).T, dtype=np.int32)


@cache
def _session() -> Any:
    """A session of onnxruntime that multiplies, ``(left - shift) @ right.T``, in the thread that calls it.

    PyTorch is as fast, but takes half a GiB.
    """
    import onnxruntime
    from onnx import TensorProto, helper

    kinds = {"left": TensorProto.UINT8, "right": TensorProto.INT8, "shift": TensorProto.UINT8}
    shapes = {"left": ["q", "d"], "right": ["n", "d"], "shift": []}
    inputs = [helper.make_tensor_value_info(name, kind, shapes[name]) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("found", TensorProto.INT32, ["q", "n"])
    turned = helper.make_node("Transpose", ["right"], ["columns"])
    multiplied = helper.make_node("MatMulInteger", ["left", "columns", "shift"], ["found"])
    graph = helper.make_graph([turned, multiplied], "products", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_cpu_mem_arena = 1, False
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
