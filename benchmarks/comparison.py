"""Does the comparison of rows keep its promises? Simulated rows that are alike, compared in three ways.

    python benchmarks/comparison.py [--trials 400]

Four rows without any true difference and one that is better by about 3 points, tested on 300 people with 7 genuine
pairs each. A row's error rate varies from person to person, from row to row of a person, from training to training,
and from training to training of a person; its spread over trainings is about .9 points at 16 %. Printed for 1, 2, 3
and 5 trainings a row: how often the 95 % interval of two rows holds the true difference 0; how often any two of the
four equal rows are called different; and how often the better row is told apart from the first.

    people, uncorrected   bootstrap over people alone, as if each row's recogniser were the only one
    people                the same with Holm's correction
    two-level             bootstrap over trainings and people, percentile interval, Holm's correction
    analysis              eval.trainings; one training with .9 points assumed
    analysis, unlike      the same where the trainings of two rows vary 1.5 times as much as those of the others
"""

from __future__ import annotations

import argparse

import numpy as np

from eval.trainings.analysis import compare_rows
from eval.trainings.multiple import holm_of_pairs

ROWS, PEOPLE, PAIRS, DRAWS = 5, 300, 7, 1000
EQUAL, BETTER = 4, -0.29
LEVEL, TRAINING, PERSON, ROW_PERSON, TRAINING_PERSON = -1.9, 0.04, 0.8, 0.3, 0.4
WAYS = ("people, uncorrected", "people", "two-level", "analysis", "analysis, unlike")


def simulate(trainings: int, rng: np.random.Generator, unlike: float = 1.0) -> np.ndarray:
    """Share of wrong genuine pairs of each person, float64 [rows, trainings, people]."""
    spread = TRAINING * np.array([unlike] * 2 + [1.0] * (ROWS - 2))[:, None, None]
    logit = LEVEL + PERSON * rng.standard_normal(PEOPLE) + ROW_PERSON * rng.standard_normal((ROWS, 1, PEOPLE))
    logit[-1] += BETTER
    logit = logit + spread * rng.standard_normal((ROWS, trainings, 1))
    logit = logit + TRAINING_PERSON * rng.standard_normal((ROWS, trainings, PEOPLE))
    return rng.binomial(PAIRS, 1 / (1 + np.exp(-logit))) / PAIRS


def two_level(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples [rows, draws] over drawn trainings and people; the same trainings in every row."""
    trainings, draws = samples.shape[1:]
    drawn = rng.integers(0, trainings, (draws, trainings))
    return samples[:, drawn, np.arange(draws)[:, None]].mean(axis=2)


def percentile_p(samples: np.ndarray) -> np.ndarray:
    """Two-sided p of each two rows from samples [rows, draws]: twice the share on the rarer side of 0."""
    difference = samples[:, None] - samples
    rarer = np.minimum(np.sum(difference <= 0, axis=2), np.sum(difference >= 0, axis=2))
    return np.minimum(1, 2 * (rarer + 1) / (samples.shape[1] + 1))


def trial(trainings: int, rng: np.random.Generator) -> dict[str, tuple[bool, bool, bool]]:
    """Of each way: wrong about rows 0 and 1, about any equal rows after correction, and right about the better row."""
    drawn = rng.multinomial(PEOPLE, np.full(PEOPLE, 1 / PEOPLE), DRAWS).T / PEOPLE
    found = {}
    for name, unlike in (("analysis", 1.0), ("analysis, unlike", 1.5)):
        errors = simulate(trainings, rng, unlike)
        samples = errors @ drawn
        result = compare_rows(errors.mean(axis=2), samples, assumed_sd=0.009)
        found[name] = _said(result.p, result.adjusted)
        if unlike == 1:
            alone, both = percentile_p(samples.mean(axis=1)), percentile_p(two_level(samples, rng))
            found["people, uncorrected"] = _said(alone, alone)
            found["people"] = _said(alone, holm_of_pairs(alone))
            found["two-level"] = _said(both, holm_of_pairs(both))
    return found


def _said(p: np.ndarray, adjusted: np.ndarray) -> tuple[bool, bool, bool]:
    equal = adjusted[:EQUAL, :EQUAL][np.triu_indices(EQUAL, 1)]
    return bool(p[0, 1] <= 0.05), bool(np.any(equal <= 0.05)), bool(adjusted[0, -1] <= 0.05)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print("| trainings | way | interval holds the truth, % | equal rows called different, % | better row found, % |")
    print("|---:|---|---:|---:|---:|")
    for trainings in (1, 2, 3, 5):
        trials = [trial(trainings, rng) for _ in range(options.trials)]
        for name in WAYS:
            wrong, any_wrong, right = 100 * np.mean([each[name] for each in trials], axis=0)
            print(f"| {trainings} | {name} | {100 - wrong:.1f} | {any_wrong:.1f} | {right:.1f} |", flush=True)


if __name__ == "__main__":
    main()
