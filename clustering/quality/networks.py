"""Small networks whose mean is the answer and whose spread is a doubt, in NumPy: a few thousand weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from facerec.pipeline.values import INT_SEEDS

MEMBERS, HIDDEN = 12, 32
DECAY, STEPS, RATE, BATCH = 0.3, 60, 3e-3, 128
"""Weight decay, epochs, learning rate and rows of a step."""
FURTHEST = 4.0
"""Deviations from the mean at which features are clipped."""


@dataclass(frozen=True)
class Networks:
    """Networks with one hidden layer, each fitted on its own draw of the corpora (bagging, Breiman 1996).

    Attributes:
        mean: float64 [inputs], of the features.
        deviation: float64 [inputs].
        inner: float64 [members, inputs + 1, hidden], the last row is the bias.
        outer: float64 [members, hidden + 1, outputs], likewise.
    """

    mean: np.ndarray
    deviation: np.ndarray
    inner: np.ndarray
    outer: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> Networks:
        """Fits them by least squares (Adam, with weight decay).

        Args:
            x: float64 [m, inputs].
            y: float64 [m, outputs].
            groups: int64 [m]: rows of one corpus are drawn together.
            seed: Of the draws and the weights.
        """
        from sklearn.neural_network import MLPRegressor  # slow to import, and those who only estimate do without

        mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        inputs, random, found = standardised(x, mean, deviation), np.random.default_rng(seed), []
        corpora, members = np.unique(groups), {each: np.flatnonzero(groups == each) for each in np.unique(groups)}
        for number in range(MEMBERS):
            rows = np.concatenate([members[each] for each in random.choice(corpora, len(corpora))])
            network = MLPRegressor(
                hidden_layer_sizes=(HIDDEN,), activation="tanh", alpha=DECAY, max_iter=STEPS,
                batch_size=min(BATCH, len(rows)), learning_rate_init=RATE, tol=0, n_iter_no_change=STEPS,
                random_state=(seed + number) % INT_SEEDS,
            )  # fmt: skip
            found.append(_weights(network, inputs[rows], y[rows]))
        inner, outer = (np.stack(each) for each in zip(*found, strict=True))
        return cls(mean, deviation, inner, outer)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Float64 [members, m, outputs] of features float64 [m, inputs]."""
        inputs = standardised(x, self.mean, self.deviation)
        hidden = np.tanh(inputs @ self.inner[:, :-1] + self.inner[:, None, -1])
        return np.asarray(hidden @ self.outer[:, :-1] + self.outer[:, None, -1])


def standardised(x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Features in deviations from their mean, at most `FURTHEST`: beyond what was seen nothing is extrapolated."""
    return np.asarray(np.clip((x - mean) / deviation, -FURTHEST, FURTHEST))


def _weights(network: object, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both layers of a fitted network, biases last."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is what was chosen
        network.fit(x, y if y.shape[1] > 1 else y.ravel())  # type: ignore[attr-defined]
    layers = zip(network.coefs_, network.intercepts_, strict=True)  # type: ignore[attr-defined]
    inner, outer = (np.vstack([weights, bias]) for weights, bias in layers)
    return inner, outer
