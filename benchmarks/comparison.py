"""Does the comparison of rows keep its promises? Simulated rows that are alike, compared in three ways.

    python benchmarks/comparison.py

Five rows without any true difference, tested on 300 people with 7 genuine pairs each. A row's error rate varies from
person to person, from row to row of a person, from training to training, and from training to training of a person;
its spread over trainings is about .9 points at 15 %. Printed for 1, 2, 3 and 5 trainings a row: how often the 95 %
interval of two rows holds the true difference 0, and how often any two of the five rows are called different.

    people            bootstrap over people alone, as if each row's recogniser were the only one (no correction)
    two-level         bootstrap over trainings and people, percentile interval (no correction)
    analysis          eval.trainings, with Holm's correction for "any two"; one training with .9 points assumed
    analysis, unlike  the same where the trainings of two rows vary 1.5 times as much as those of the others
"""

from __future__ import annotations

import argparse

import numpy as np

from eval.trainings.analysis import compare_rows

ROWS, PEOPLE, PAIRS, DRAWS = 5, 300, 7, 300
LEVEL, TRAINING, PERSON, ROW_PERSON, TRAINING_PERSON = -1.9, 0.078, 0.8, 0.3, 0.4


def simulate(trainings: int, rng: np.random.Generator, unlike: float = 1.0) -> np.ndarray:
    """Share of wrong genuine pairs of each person, float64 [rows, trainings, people]."""
    spread = TRAINING * np.array([unlike] * 2 + [1.0] * (ROWS - 2))[:, None, None]
    logit = LEVEL + PERSON * rng.standard_normal(PEOPLE) + ROW_PERSON * rng.standard_normal((ROWS, 1, PEOPLE))
    logit = logit + spread * rng.standard_normal((ROWS, trainings, 1))
    logit = logit + TRAINING_PERSON * rng.standard_normal((ROWS, trainings, PEOPLE))
    return rng.binomial(PAIRS, 1 / (1 + np.exp(-logit))) / PAIRS


def two_level(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples [rows, draws] over drawn trainings and people; the same trainings in every row."""
    trainings, draws = samples.shape[1:]
    drawn = rng.integers(0, trainings, (draws, trainings))
    return samples[:, drawn, np.arange(draws)[:, None]].mean(axis=2)


def percentile(samples: np.ndarray) -> np.ndarray:
    """Whether the 95 % interval of each two rows leaves out 0, bool [rows, rows]."""
    difference = samples[:, None] - samples
    low, high = np.quantile(difference, [0.025, 0.975], axis=2)
    return (low > 0) | (high < 0)


def trial(trainings: int, rng: np.random.Generator) -> dict[str, tuple[bool, bool]]:
    """Of each way: whether the interval of two rows leaves out 0, and whether any two are called different."""
    drawn = rng.multinomial(PEOPLE, np.full(PEOPLE, 1 / PEOPLE), DRAWS).T / PEOPLE
    found = {}
    for name, unlike in (("analysis", 1.0), ("analysis, unlike", 1.5)):
        errors = simulate(trainings, rng, unlike)
        samples = errors @ drawn
        result = compare_rows(errors.mean(axis=2), samples, assumed_sd=0.009)
        found[name] = bool(result.p[0, 1] <= 0.05), bool(result.differs.any())
        if unlike == 1:
            found["people"] = _said(percentile(samples.mean(axis=1)))
            found["two-level"] = _said(percentile(two_level(samples, rng)))
    return found


def _said(differs: np.ndarray) -> tuple[bool, bool]:
    return bool(differs[0, 1]), bool(differs.any())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(
        "| trainings | way | interval holds the truth, % | any two of five called different, % |\n|---:|---|---:|---:|"
    )
    for trainings in (1, 2, 3, 5):
        trials = [trial(trainings, rng) for _ in range(options.trials)]
        for name in ("people", "two-level", "analysis", "analysis, unlike"):
            wrong, any_wrong = np.mean([each[name] for each in trials], axis=0)
            print(f"| {trainings} | {name} | {100 * (1 - wrong):.1f} | {100 * any_wrong:.1f} |", flush=True)


if __name__ == "__main__":
    main()
