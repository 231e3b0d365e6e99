"""The command ``whiten``: embeddings in which the photographs of one person differ less."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings, refuse_other_length, save_names
from facerec.pipeline.files import InputError, blocks, new_array, row_blocks
from facerec.pipeline.same_recogniser import check_recogniser
from facerec.pipeline.stage import stage
from facerec.recognisers.whitening import Whitening, fit_whitening

logger = logging.getLogger(__name__)


@stage(
    "facerec whiten",
    found=told("{faces:face}; FNMR of held-out people {before:.1%} as they are, {after:.1%} whitened"),
    then="python -m clustering cluster --backend hilander --embeddings {out} --out CLUSTERS",
)
def whiten(
    embeddings: Path, people: Path, out: Path, seed: int = 0, unreadable: Unreadable = "refuse"
) -> dict[str, float]:
    """Makes directions count less in which the photographs of one person differ, and writes the embeddings anew.

    This helps if the recogniser was trained on few people. Whether it helps is measured on the labelled people, each
    whitened by a map that was made from others. If the mean of FNMR at FMR 1e-2 and at 1e-3 does not fall by a
    twentieth, the embeddings are written as they are. The embeddings may be those of the labelled people themselves.
    Then each person is whitened by a map made from others, so that a backend can be tuned on the result.

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
    _write(faces, found, _are_same(faces.embeddings, known.embeddings), out)
    for file in scratch:
        file.unlink(missing_ok=True)
    return {"faces": len(faces), "before": found.before, "after": found.after, "whitened": found.helps}


def _are_same(one: np.ndarray, other: np.ndarray) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, blocks(one), blocks(other)))


def _write(faces: EmbeddingSet, whitening: Whitening, are_people: bool, out: Path) -> None:
    """Writes the embedding set, whitened if that helps.

    Args:
        faces: The embedding set.
        whitening: The map.
        are_people: Whether the faces are those that the map was made from.
        out: The folder.
    """
    rows = new_array(out / "embeddings.npy", np.dtype(np.float32), faces.embeddings.shape)
    for block in row_blocks(len(rows)):
        if whitening.helps and are_people:
            rows[block] = whitening.held_out(faces.embeddings, block)
        else:
            rows[block] = whitening(faces.embeddings[block]) if whitening.helps else faces.embeddings[block]
    rows.flush()
    save_names(out, faces.keys, faces.labels)
