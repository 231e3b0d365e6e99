"""Fits the estimate of quality to clusterings of simulated corpora."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clustering.quality.estimator import FIGURES, OWN, SIGNS, Estimator, error_signs, points, with_ones
from clustering.quality.examples import Examples
from clustering.quality.features import squeezed
from clustering.quality.networks import Networks, standardised

FOLDS = 5
LEVEL = 0.9
"""Share of the errors that intervals hold."""
RIDGE = 30.0  # penalty of squared weights
SMALLEST = 0.03
"""Added to errors before their logarithm is taken."""
FURTHEST = 0.99
"""Share of the simulated clusterings that count as like the others."""
REAL = np.array([1.3] * len(FIGURES) + [1.6])
"""Factors, for the figures and for people, by which intervals are wider than simulated corpora need.

Real corpora differ from simulated ones. The factors were chosen on half of the identities of two real sets.
"""


def fit(found: Examples, seed: int) -> Estimator:
    """Networks on all corpora; the widths from errors on corpora that the networks have not learned from.

    Errors come from `FOLDS` folds of the corpora. A ridge regression of their logarithms gives their usual size. The
    quantile of errors over usual sizes is again of corpora that the regression has not seen (split conformal
    prediction, Lei et al. 2018; across folds, Vovk 2015).

    Args:
        found: Clusterings of known quality.
        seed: Seed of folds and networks.
    """
    x, truth = found.features, targets(found)
    corpora, place = np.unique(found.corpus, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(corpora)) % FOLDS)[place]
    errors, signs = np.zeros_like(truth), np.zeros((len(x), x.shape[1] + SIGNS))
    for number in range(FOLDS):
        held = fold == number
        nets = networks(x[~held], truth[~held], found.corpus[~held], seed)
        errors[held] = np.abs(truth[held] - points(*nets, x[held]))
        signs[held] = error_signs(*nets, x[held])
    sizes = np.log(errors + SMALLEST)
    ratios = np.zeros_like(errors)
    for number in range(FOLDS):
        held = fold == number
        ratios[held] = errors[held] / np.exp(with_ones(signs[held]) @ ridge(signs[~held], sizes[~held]))
    quality, people = networks(x, truth, found.corpus, seed)
    z = standardised(x, quality.mean, quality.deviation)
    usual = np.linalg.inv(np.cov(z.T) + 0.05 * np.eye(z.shape[1]))
    quantile = REAL * np.quantile(ratios, LEVEL, axis=0)
    fitted = Estimator(quality, people, ridge(signs, sizes), quantile, usual, furthest=1.0)
    return replace(fitted, furthest=float(np.quantile(fitted.distance(x), FURTHEST)))


def targets(found: Examples) -> np.ndarray:
    """Float64 [m, 7]: squeezed `FIGURES`, and the logarithm of people per face."""
    return np.column_stack([squeezed(found.figures), np.log(found.people)])


def networks(x: np.ndarray, truth: np.ndarray, groups: np.ndarray, seed: int) -> tuple[Networks, Networks]:
    """Those of precision and recall, and those of people, which see one clustering of each corpus."""
    columns = [FIGURES.index(name) for name in FIGURES if not name.endswith("_f")]
    first = np.unique(groups, return_index=True)[1]
    people = Networks.fit(x[first, :OWN], truth[first, -1:], groups[first], seed)
    return Networks.fit(x, truth[:, columns], groups, seed), people


def ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Float64 [inputs + 1, outputs]: ridge regression's weights, the intercept last and not shrunk."""
    mean = x.mean(axis=0)
    centred = x - mean
    slopes = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(x.shape[1]), centred.T @ (y - y.mean(axis=0)))
    return np.vstack([slopes, y.mean(axis=0) - mean @ slopes])
