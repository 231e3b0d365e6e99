"""What an ONNX recogniser wants of its input, told by the operators at the start of its graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import onnx

from facerec.pipeline.arguments import set_typed_fields
from facerec.pipeline.files import InputError

CENTRE, SPREAD = 127.5, 127.5
SUBTRACTS, SCALES = {"Sub", "Add"}, {"Mul", "Div"}
PASSES = {"Cast", "Identity", "Transpose", "Gather", "Slice"}
"""Operators that leave the values as they are. The last two put the channels into another order."""


@dataclass(frozen=True)
class InputSettings:
    """How pixels from 0 to 255 become a network's input: (value - mean) / std, channels in this order.

    Attributes:
        mean: None: 0 where the graph normalises by itself, else 127.5.
        std: None: 1 where the graph normalises by itself, else 127.5.
        channels: rgb, or bgr as some networks of other toolkits want.
        output: Name of the output that is the embedding; None: the only one of more than one column.
        size: Height and width of the faces for a graph that takes any; None: 112.

    Raises:
        InputError: A value of another type, other channels, a std or size that is not positive, or a mean
            that is not finite.
    """

    mean: float | None = None
    std: float | None = None
    channels: Literal["rgb", "bgr"] = "rgb"
    output: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        set_typed_fields(self)
        for name, value in (("std", self.std), ("size", self.size)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} is {value}; it must be positive")
        if self.mean is not None and not math.isfinite(self.mean):
            raise InputError(f"mean is {self.mean}; it must be finite")

    def decided(self, graph: onnx.GraphProto) -> tuple[float, float]:
        """Mean and std, by the graph where they are not given."""
        mean, std = (0.0, 1.0) if normalises(graph) else (CENTRE, SPREAD)
        return mean if self.mean is None else self.mean, std if self.std is None else self.std


def normalises(graph: onnx.GraphProto) -> bool:
    """Whether a graph itself shifts and scales its input by constants, before any other layer.

    A batch normalisation right at the input counts, too. What nodes are called does not matter. As long as each value
    has one user, whatever else that user takes is constant, or computed from constants.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input if node.op_type != "Shape" else ():
            users.setdefault(name, []).append(node)
    weights = {tensor.name for tensor in graph.initializer}
    current = next(value.name for value in graph.input if value.name not in weights)
    kinds: set[str] = set()
    while len(users.get(current, [])) == 1:
        node = users[current][0]
        if node.op_type == "BatchNormalization":
            return True
        if node.op_type not in SUBTRACTS | SCALES | PASSES:
            break
        kinds.add(node.op_type)
        current = node.output[0]
    return bool(kinds & SUBTRACTS) and bool(kinds & SCALES)
