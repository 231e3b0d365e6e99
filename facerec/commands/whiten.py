"""The command ``whiten``: embeddings in which the photographs of one person differ less."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import counted, told
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings, refuse_other_length, save_names
from facerec.pipeline.equal_rows import EqualRows
from facerec.pipeline.files import InputError, new_array, row_blocks
from facerec.pipeline.same_recogniser import check_recogniser, noted_recogniser
from facerec.pipeline.stage import stage
from facerec.recognisers.whitening import Whitening, fit_whitening

logger = logging.getLogger(__name__)


@stage(
    "facerec whiten",
    found=told("{faces:face}; FNMR of held-out people {before:.1%} as they are, {after:.1%} whitened"),
    then="python -m clustering cluster --backend hilander --embeddings {out} --out CLUSTERS",
)
def whiten(
    embeddings: Path, people: Path, out: Path, seed: Seed = 0, unreadable: Unreadable = "refuse"
) -> dict[str, Any]:
    """Makes directions count less in which the photographs of one person differ, and writes the embeddings anew.

    This helps if the recogniser was trained on few people. Whether it helps is measured on the labelled people, each
    whitened by a map that was made from others. If the mean of FNMR at FMR 1e-2 and at 1e-3 does not fall by a
    twentieth, the embeddings are written as they are. The embeddings may be those of the labelled people themselves,
    or some of them. A face with the same embedding in both sets is whitened by a map made without its person, so that
    a backend can be tuned on the result.

    Args:
        embeddings: The embedding set to whiten.
        people: Embeddings with labels.npy by the same recogniser, of people whom it was not trained on. People whom it
            was trained on do not show whether whitening helps.
        out: Folder for the embedding set.
        seed: Seed of the tenths of the people, each of which is held out in turn.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    scratch = out / "unit.npy", out / "unit_people.npy"
    faces = load_embeddings(embeddings, scratch[0], unreadable=unreadable)
    known = load_embeddings(people, scratch[1], unreadable=unreadable)
    if known.labels is None:
        raise InputError(f"{people}: no labels.npy; whitening is measured on faces whose people are known")
    refuse_other_length(known.embeddings, people, faces)
    check_recogniser(faces, known)
    try:
        found = fit_whitening(known.embeddings, known.labels, seed)
    except InputError as error:
        raise InputError(f"{people}: {error}; give more labelled people, or leave this step out") from None
    if not found.helps:
        logger.warning("held-out people are not told apart better when whitened; embeddings are written as they are")
    fitted = _write(faces, known.embeddings, found, out)
    if 0 < fitted < len(faces):
        logger.info(
            "%s are faces of %s, each whitened by a map made without its person", counted(fitted, "row"), people
        )
    for file in scratch:
        file.unlink(missing_ok=True)
    noted = {} if found.helps else noted_recogniser([embeddings])
    return {
        "faces": len(faces), "before": found.before, "after": found.after, "whitened": found.helps, "fitted": fitted,
        **noted,
    }  # fmt: skip


def _write(faces: EmbeddingSet, people: np.ndarray, whitening: Whitening, out: Path) -> int:
    """Writes the embedding set, whitened if that helps.

    Args:
        faces: The embedding set.
        people: float32 [n, d], that the map was made from.
        whitening: The map.
        out: The folder.

    Returns:
        How many of the faces were whitened by a map without their person.
    """
    rows = new_array(out / "embeddings.npy", np.dtype(np.float32), faces.embeddings.shape)
    known, fitted = EqualRows(people), 0
    for block in row_blocks(len(rows)):
        rows[block] = faces.embeddings[block]
        if whitening.helps:
            place = known.find(rows[block])
            own = np.flatnonzero((place >= 0) & (whitening.fold[place] >= 0))
            fitted += len(own)
            rows[block] = whitening(rows[block])
            rows[block][own] = whitening.held_out(people, place[own])
    rows.flush()
    save_names(out, faces.keys, faces.labels)
    return fitted
