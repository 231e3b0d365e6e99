"""The command ``plan``: how many trainings a row the comparison of a difference needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveFloat

from eval.comparison.runs import load_runs
from eval.comparison.summary import typical_people_variance
from eval.comparison.table import tabulate
from eval.trainings.power import MOST_TRAININGS, smallest_difference, too_few_people, trainings_needed
from facerec.pipeline.arguments import Points, typed
from facerec.pipeline.files import InputError

SHOWN = (1, 2, 3, 5, 10, 20)


@typed
def plan(
    runs: list[Path] | None = None,
    difference: PositiveFloat = 1.0,
    training_sd: Points = 0.9,
    people_sd: Points = 0.0,
    rows: int = 5,
) -> None:
    """Prints how many trainings of each row tell two rows apart, and which difference so many trainings find.

    Found means: significant after Holm's correction for every two rows, four times of five.

    Args:
        runs: Finished rows, see compare. Taken from them are their number, the spread of their trainings if they have
            several, and the spread of the test people.
        difference: Difference between the FNMR of two rows, in points.
        training_sd: Standard deviation from one training of a row to another, in points; not used if the runs tell it.
        people_sd: Standard deviation of the difference of two rows that comes from the test people, in points, which
            no training lowers; not used with runs.
        rows: Number of rows to compare; not used with runs.
    """
    if rows < 2:
        raise InputError(f"--rows {rows}; a comparison has at least 2")
    people, source = (people_sd / 100) ** 2, "assumed"
    sd = training_sd / 100
    if runs is not None:
        table = tabulate(load_runs(runs), sd)
        if table.compared is None:
            raise InputError(f"{runs[0]} and others: cannot be compared: {table.why_not}")
        found, rows = table.compared.found, len(table.compared.names)
        people, sd = typical_people_variance(found.people), found.sd
        source = "measured" if table.compared.trainings > 1 else "assumed"
    print(f"{rows} rows; from training to training {100 * sd:.2f} points ({source}); from test people to test people")
    print(f"{100 * np.sqrt(people):.2f} points of a difference, which no training lowers (standard deviations)\n")
    print("trainings a row    difference that is found, points")
    for trainings in SHOWN:
        print(f"{trainings:15}    {100 * smallest_difference(sd, people, rows, trainings):33.1f}")
    needed, points = trainings_needed(difference / 100, sd, people, rows), "point" if difference == 1 else "points"
    needs = _needs(needed, too_few_people(difference / 100, people, rows))
    print(f"\nA difference of {difference:g} {points} needs {needs}.")


def _needs(trainings: int | None, few_people: bool) -> str:
    if trainings is None and few_people:
        return f"more test people: {MOST_TRAININGS} trainings do not find it"
    if trainings is None:
        return f"more than {MOST_TRAININGS} trainings a row"
    if trainings == 1:
        return "1 training a row, since trainings do not vary"
    return f"{trainings} trainings a row (run_pseudolabel.sh --seeds {trainings})"
