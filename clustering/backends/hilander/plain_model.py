"""The packaged linkage model in NumPy, for those who would import PyTorch for it alone, which takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit

from clustering.clusterer import PRETRAINED
from clustering.similarity.confidence import Confidence
from facerec.pipeline.files import read_yaml


@dataclass(frozen=True)
class PlainModel:
    """What `LinkageModel` computes of pairs: three layers, and PReLU between them.

    Attributes:
        layers: Weights float32 [out, in] and bias float32 [out] of each.
        slopes: float32 [1], of either PReLU.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    slopes: tuple[np.ndarray, np.ndarray]

    def judge(self, inputs: np.ndarray) -> np.ndarray:
        """Log-odds of "same identity", float32 [e], of inputs float32 [e, EDGE_INPUTS]."""
        (first, first_bias), (second, second_bias), (last, last_bias) = self.layers
        hidden = _rectified(inputs @ first.T + first_bias, self.slopes[0])
        hidden = _rectified(hidden @ second.T + second_bias, self.slopes[1])
        return np.asarray(hidden @ (last[1] - last[0]) + (last_bias[1] - last_bias[0]), np.float32)

    def probability(self, inputs: np.ndarray) -> np.ndarray:
        """The logistic function of `judge`, float32 [e]."""
        return np.asarray(expit(self.judge(inputs)))


def _rectified(values: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, slope * values)


@cache
def packaged_model() -> PlainModel:
    """The linkage model that comes with the package."""
    from safetensors.numpy import load_file

    arrays = load_file(PRETRAINED["hilander"] / "model.safetensors")
    names = ("edge_mlp", "head.1", "head.3")
    layers = tuple((arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names)
    return PlainModel(layers, (arrays["head.0.weight"], arrays["head.2.weight"]))


@cache
def packaged_confidence() -> Confidence:
    """The function of confidence that comes with the package."""
    file = PRETRAINED["hilander"] / "config.yaml"
    return Confidence.of_settings(file, read_yaml(file)["confidence"])
