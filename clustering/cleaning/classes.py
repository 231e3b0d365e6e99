"""Classification with examples of each class, where the shares of the classes are unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

STEPS = 100  # of expectation maximisation
LEAST = 1e-4  # share of a class
REGULARISATION = 10.0  # C of the logistic regression


@dataclass(frozen=True)
class Classes:
    """A classifier that does not know the classes' shares beforehand.

    Attributes:
        model: Logistic regression on features and their products, as of Gaussian classes with covariances of their
            own; all classes count alike. None where a class has no example.
        count: Number of classes.
    """

    model: Pipeline | None
    count: int

    @classmethod
    def fit(cls, examples: Sequence[np.ndarray], weights: Sequence[np.ndarray] | None = None) -> Classes:
        """Fits it.

        Args:
            examples: Of each class, float [m, features].
            weights: float [m] of each; ones by default.
        """
        weights = [np.ones(len(each)) for each in examples] if weights is None else weights
        totals = [float(each.sum()) for each in weights]
        if min(totals) <= 0:
            return cls(None, len(examples))
        model = make_pipeline(
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
            LogisticRegression(C=REGULARISATION, max_iter=1000),
        )
        shares = np.concatenate([each / total for each, total in zip(weights, totals, strict=True)])
        sample_weight = shares * sum(map(len, examples)) / len(examples)
        y = np.repeat(np.arange(len(examples)), [len(each) for each in examples])
        model.fit(np.concatenate(examples), y, logisticregression__sample_weight=sample_weight)
        return cls(model, len(examples))

    def posterior(self, features: np.ndarray) -> np.ndarray:
        """Float64 [n, classes], the probability of each class.

        The classes' shares are found from the features themselves by expectation maximisation (Saerens et al. 2002,
        equation 2.2). Without a model everything is of the first class.
        """
        if self.model is None or not len(features):
            return np.tile(np.eye(self.count)[0], (len(features), 1))
        likelihood = self.model.predict_proba(features)
        shares = np.full(self.count, 1 / self.count)
        for _ in range(STEPS):
            found = likelihood * shares
            found /= found.sum(axis=1, keepdims=True)
            shares = np.maximum(found.mean(axis=0), LEAST)
            shares /= shares.sum()
        return np.asarray(found)
