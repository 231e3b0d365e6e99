"""Which settings tuning tries, and which of them it chooses."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import qmc

from clustering.clusterer import Clusterer
from clustering.settings import Range
from facerec.pipeline.counts import counted

logger = logging.getLogger(__name__)

REACH = 0.1
"""How far on either side of a trial the search goes on, as a share of each range. Set by hand."""
NEAR_BEST = 0.99
"""A trial can be chosen if its score is at least this share of the best one's. Scores vary by about 1 % with the choice
of the validation faces."""
STRICTNESS = 0.75
"""Place of the chosen trial among these, in order of precision: 0 the loosest, 1 the strictest. Of .5, .75 and 1 it
lost least on three other corpora, see docs/lab/results.md."""
LEAST_GAIN = 0.02
"""The packaged model stays as it is unless a trial scores by this share more, and a trained one must score by as much
more than the packaged one at its best. Smaller gains mean little: settings that scored more, but by less, were worse on
other people in four of five cases, see docs/lab/tuning.md."""


def candidates(
    clusterer: Clusterer, trials: int, seed: int, results: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The settings to try, one after the other.

    The clusterer's own come first. Half of the others are drawn over the declared ranges. A quarter is drawn around the
    best trial so far. The last quarter is drawn around the trial that `strict` would choose, with its values of lists.

    Args:
        clusterer: With its declared ranges.
        trials: Number of settings, its own counted.
        seed: Seed of the Latin hypercubes.
        results: The rows of the trials before, added by the caller.
    """
    ranges, quarter = clusterer.search_space, (trials - 1) // 4
    yield {name: getattr(clusterer, name) for name in ranges}
    yield from hypercube(ranges, trials - 1 - 2 * quarter, seed)
    if quarter:
        yield from hypercube(narrowed(ranges, best_of(results)), quarter, seed + 1)
        chosen = strict(results)
        near = {
            name: declared if isinstance(declared, tuple) else [chosen[name]]
            for name, declared in narrowed(ranges, chosen).items()
        }
        yield from hypercube(near, quarter, seed + 2)


def hypercube(ranges: Mapping[str, Range], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Settings spread evenly over ranges and lists: a Latin hypercube."""
    if count:
        for point in qmc.LatinHypercube(len(ranges), rng=np.random.default_rng(seed)).random(count):
            yield {name: pick(choices, x) for (name, choices), x in zip(ranges.items(), point, strict=True)}


def narrowed(ranges: Mapping[str, Range], row: Mapping[str, Any]) -> dict[str, Range]:
    """The ranges near a trial's values, see `REACH`; lists stay whole."""
    found: dict[str, Range] = {}
    for name, declared in ranges.items():
        if isinstance(declared, tuple):
            low, high = declared
            reach = REACH * (high - low)
            found[name] = (max(row[name] - reach, low), min(row[name] + reach, high))
        else:
            found[name] = declared
    return found


def best_of(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The trial with the highest score."""
    return max(results, key=lambda result: result["score"])


def strict(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the trials that are nearly as good as the best, the one at the upper quartile of precision.

    Unlabelled faces are of more people than labelled ones. So strangers are joined there at thresholds that separate
    all people here. The score falls slowly towards stricter settings and at once towards looser ones. The strictest
    trial of all may be an outlier.

    Args:
        results: Rows of trials, see `run_trials`.
    """
    least = NEAR_BEST * best_of(results)["score"]
    near = sorted((row for row in results if row["score"] >= least), key=lambda row: row["precision"])
    return near[math.ceil(STRICTNESS * (len(near) - 1))]


def training_of(results: Sequence[Mapping[str, Any]], packaged: int | None = None) -> int:
    """The training with the best trial; the packaged model unless that is better by `LEAST_GAIN`.

    Args:
        results: Rows of trials, see `trials_of_all`.
        packaged: Number of the packaged model as ``training``, if it was tried.
    """
    best = best_of(results)
    if packaged is not None:
        own = best_of([row for row in results if row["training"] == packaged])
        if best["score"] < (1 + LEAST_GAIN) * own["score"]:
            return packaged
    return int(best["training"])


def chosen_of(results: Sequence[Mapping[str, Any]], packaged: bool = False) -> Mapping[str, Any]:
    """The row that `strict` chooses, or the first one, the default, if nothing tells which is better.

    Args:
        results: Rows of trials of one training, the default settings first.
        packaged: Whether they are of the packaged model, whose settings stay unless others are better by `LEAST_GAIN`.
    """
    if packaged and best_of(results)["score"] < (1 + LEAST_GAIN) * results[0]["score"]:
        logger.info("the packaged model stays as it is: no other settings score %g %% more", 100 * LEAST_GAIN)
        return results[0]
    if any(row["score"] for row in results):
        return strict(results)
    logger.warning(
        "all %s score 0: none is right about any pair of faces in every version of the labelled faces. So the default "
        "settings stay; label more faces of the people, or see whether the labels are those of these faces",
        counted(len(results), "trial"),
    )
    return results[0]


def pick(choices: Range, position: float) -> Any:
    """The value at a position in [0, 1) of a range or a list; of a range rounded to three digits."""
    if isinstance(choices, tuple):
        low, high = choices
        return round(float(low + position * (high - low)), 3)
    return choices[int(position * len(choices))]
