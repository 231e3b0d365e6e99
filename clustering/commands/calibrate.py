"""The command ``calibrate``: learns, on simulated corpora, how good clusterings are without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import PositiveInt

from clustering.quality.estimator import FIGURES, PEOPLE
from clustering.quality.examples import Examples, examples
from clustering.quality.fitting import FOLDS, fit
from facerec.pipeline.arguments import Seed
from facerec.pipeline.files import InputError
from facerec.pipeline.ranks import make_once
from facerec.pipeline.stage import stage

BLOCK = 20
"""Corpora whose clusterings are written together, and are done again if the run is killed among them."""


@stage(
    "clustering calibrate",
    resumable=True,
    found="{clusterings:,} clusterings of {corpora:,} simulated corpora".format_map,
    then="python -m clustering estimate --model {out} --embeddings EMBEDDINGS --clusters CLUSTERS --out ESTIMATE",
)
def calibrate(out: Path, corpora: PositiveInt = 1200, seed: Seed = 0) -> dict[str, Any]:
    """Learns on simulated corpora how good clusterings are, for `estimate` and `cluster`.

    With its defaults it makes the packaged estimate. It takes about half an hour on one core. A run that was killed
    goes on where it stopped.

    Args:
        out: Folder to make: quality.safetensors, for estimate's --model.
        corpora: How many to simulate, at least 10.
        seed: Seed of the simulation and of the networks.
    """
    if corpora < 2 * FOLDS:
        raise InputError(f"corpora is {corpora}; at least {2 * FOLDS} are needed")
    done = out / "examples"
    tables = [_table(done, first, min(first + BLOCK, corpora), seed) for first in range(0, corpora, BLOCK)]
    found = Examples.of_table(np.concatenate(tables))
    estimator = fit(found, seed)
    estimator.save(out)
    ends, _ = estimator.intervals(found.features)
    half = np.mean(ends[:, :, 2] - ends[:, :, 1], axis=0) / 2
    widths = dict(zip((*FIGURES, PEOPLE + "_per_face"), half.round(4).tolist(), strict=True))
    for file in done.iterdir():
        file.unlink()
    done.rmdir()
    return {"corpora": corpora, "clusterings": len(found.corpus), "half_widths": widths}


def _table(done: Path, first: int, last: int, seed: int) -> np.ndarray:
    """The table of some corpora's clusterings, from disk; first they are simulated and written unless it is there."""
    return np.load(make_once(done / f"{first}.npy", lambda path: np.save(path, examples(first, last, seed).table())))
