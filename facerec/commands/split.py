"""The command ``split``: a labelled store into a labelled and an unlabelled one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facerec.pipeline.arguments import Seed
from facerec.pipeline.files import InputError
from facerec.pipeline.stage import stage
from facerec.stores.open import open_store


@stage(
    "facerec split",
    found="{labelled_faces:,} faces stay labelled, {unlabelled_faces:,} do not; {identities:,} identities".format_map,
    then="python -m facerec train --faces {out}/labelled --out MODEL",
)
def split(faces: Path, out: Path, labelled: int, seed: Seed = 0) -> dict[str, int]:
    """Splits a labelled face store by identity into a labelled and an unlabelled one.

    Args:
        faces: A face store with identities.
        out: Folder for the stores ``labelled`` and ``unlabelled`` (shuffled, without identities) and for
            ``unlabelled_truth.npy``, the identities of the latter, for scoring only.
        labelled: Number of identities that stay labelled.
        seed: Draws them, and the order of the unlabelled faces.
    """
    source = open_store(faces)
    truth = source.labels
    if truth is None or truth.min() < 0:
        unknown = len(source) if truth is None else int((truth < 0).sum())
        raise InputError(f"{faces}: {unknown} of {len(source)} faces have no identity; a split needs all of them")
    identities = int(truth.max()) + 1
    if not 0 < labelled < identities:
        raise InputError(f"--labelled {labelled} of {identities} identities in {faces}; choose 1 to {identities - 1}")
    generator = np.random.default_rng(seed)
    chosen = np.zeros(identities, bool)
    chosen[generator.permutation(identities)[:labelled]] = True
    kept = np.flatnonzero(chosen[truth])
    hidden = generator.permutation(np.flatnonzero(~chosen[truth]))
    for name, rows in (("labelled", kept), ("unlabelled", hidden)):
        (out / name).mkdir()
        source.subset(rows, out / name, named=name == "labelled")
    np.save(out / "unlabelled_truth.npy", truth[hidden])
    return {"labelled_faces": len(kept), "unlabelled_faces": len(hidden), "identities": identities}
