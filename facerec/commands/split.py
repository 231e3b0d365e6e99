"""The command ``split``: a labelled store into a labelled and an unlabelled one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import told
from facerec.pipeline.files import InputError
from facerec.pipeline.stage import stage
from facerec.stores.open import open_store


@stage(
    "facerec split",
    found=told(
        "{labelled_faces:face} stay labelled, {validation_faces:,} are for validation, {unlabelled_faces:,} lose "
        "their labels; {identities:identity}"
    ),
    then="python -m facerec train --faces {out}/labelled --out MODEL",
)
def split(faces: Path, out: Path, labelled: int, validation: int = 0, seed: Seed = 0) -> dict[str, int]:
    """Splits a labelled face store by identity into a labelled and an unlabelled one.

    Args:
        faces: A face store with identities.
        out: Folder for the stores ``labelled``, ``validation`` (if any) and ``unlabelled`` (shuffled, without
            identities) and for ``unlabelled_truth.npy``, the identities of the latter, for scoring only.
        labelled: Number of identities that stay labelled.
        validation: Number of further identities that stay labelled and are kept out of training. Choose thresholds on
            them: a recogniser that is trained on ``labelled`` knows those people too well.
        seed: Seed with which identities and the order of the unlabelled faces are drawn.
    """
    source = open_store(faces)
    truth = source.labels
    if truth is None or truth.min() < 0:
        unknown = len(source) if truth is None else int((truth < 0).sum())
        raise InputError(f"{faces}: {unknown} of {len(source)} faces have no identity; a split needs all of them")
    identities = int(truth.max()) + 1
    if not 0 < labelled < identities:
        raise InputError(f"--labelled {labelled} of {identities} identities in {faces}; choose 1 to {identities - 1}")
    left = identities - labelled - 1
    if not 0 <= validation <= left:
        raise InputError(
            f"--validation {validation} of {left + 1} identities in {faces} beside labelled; choose 0 to {left}"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(identities)
    part = np.full(identities, 2)
    part[order[:labelled]], part[order[labelled : labelled + validation]] = 0, 1
    kept, held_out = (np.flatnonzero(part[truth] == number) for number in (0, 1))
    hidden = generator.permutation(np.flatnonzero(part[truth] == 2))
    stores = {"labelled": kept, "validation": held_out, "unlabelled": hidden}
    for name, rows in stores.items():
        if len(rows):
            (out / name).mkdir()
            source.subset(rows, out / name, named=name != "unlabelled")
    np.save(out / "unlabelled_truth.npy", truth[hidden])
    return {f"{name}_faces": len(rows) for name, rows in stores.items()} | {"identities": identities}
