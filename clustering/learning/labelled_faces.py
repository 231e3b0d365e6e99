"""Labelled faces: reading them, and parting them by identity."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError, load_labels

HELD_BACK = 0.5
FEWEST = 2


def split(faces: LabelledFaces, share: float, seed: int) -> tuple[LabelledFaces, LabelledFaces]:
    """A share of the identities with their faces, and the others with theirs."""
    identities = np.random.default_rng(seed).permutation(np.unique(faces.labels))
    chosen = np.isin(faces.labels, identities[: round(share * len(identities))])
    return LabelledFaces(*(part[chosen] for part in faces)), LabelledFaces(*(part[~chosen] for part in faces))


class LabelledFaces(NamedTuple):
    """Readable faces of known identity: float32 [n, d] and int64 [n]."""

    embeddings: np.ndarray
    labels: np.ndarray


def load_labelled(embeddings: Path, labels: Path | None) -> LabelledFaces:
    """Reads faces with their identities, and leaves out those that are unreadable or unknown.

    Raises:
        InputError: No labels, of another length, or fewer than two identities with two faces or more.
    """
    faces = load_embeddings(embeddings)
    known = faces.labels if labels is None else load_labels(labels, len(faces))
    if known is None:
        raise InputError(f"{embeddings}: no labels.npy beside the embeddings; give the identities as --labels")
    rows = np.flatnonzero((known >= 0) & faces.readable)
    repeated = np.count_nonzero(np.bincount(known[rows], minlength=1) > 1) if len(rows) else 0
    if repeated < 2:
        raise InputError(
            f"{labels or embeddings}: {repeated} identities with two faces or more; at least two are needed"
        )
    return LabelledFaces(np.ascontiguousarray(faces.embeddings[rows]), known[rows])


def split_identities(faces: LabelledFaces, seed: int) -> tuple[LabelledFaces, LabelledFaces]:
    """Faces to learn from and faces to validate on, of different identities.

    Raises:
        InputError: Too few identities for both.
    """
    identities = len(np.unique(faces.labels))
    held_back = round(HELD_BACK * identities)
    if min(held_back, identities - held_back) < FEWEST:
        raise InputError(f"{identities} identities are too few to hold some back for validation; use train")
    held, rest = split(faces, HELD_BACK, seed)
    return rest, held
