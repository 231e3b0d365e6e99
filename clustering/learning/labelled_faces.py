"""Labelled faces: reading them, and parting them by identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clustering.similarity.same_faces import say_if_unlike
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import Unreadable, load_embeddings, readable_rows, unit_rows
from facerec.pipeline.files import InputError
from facerec.pipeline.label_files import load_labels
from facerec.pipeline.values import as_labels

HELD_BACK = 0.5
"""Share of the identities that are held back for validation."""
FEWEST = 2
"""Fewest identities of two faces or more to learn from, and fewest that are held back."""


class LabelledFaces(NamedTuple):
    """Readable faces of known identity: float32 [n, d] and int64 [n]."""

    embeddings: np.ndarray
    labels: np.ndarray

    @property
    def per_identity(self) -> float:
        """The mean number of faces of an identity."""
        return len(self.labels) / len(np.unique(self.labels))


def unit_faces(X: Any) -> np.ndarray:
    """Embeddings as a user has them, as float32 rows of unit length; zero rows are faces that could not be read.

    Args:
        X: Numbers [n, d] of any type, length and memory order, or lists. Contiguous float32 rows of unit length are
            returned as they are, memory maps included.

    Raises:
        InputError: Other shapes or types, no face, or NaN or infinite values; it names the row.
    """
    return np.ascontiguousarray(unit_rows(X))


def labelled(X: Any, y: Any) -> LabelledFaces:
    """Faces with their identities, without those that are unreadable or unknown.

    Args:
        X: Embeddings [n, d], see `unit_faces`.
        y: Whole numbers [n], the identities; negative for unknown.

    Raises:
        InputError: Unusable embeddings; identities of another number or type; no face that is known.
    """
    faces = unit_faces(X)
    known = as_labels("identities", y, len(faces))
    rows = np.flatnonzero((known >= 0) & readable_rows(faces))
    if not len(rows):
        raise InputError("no face that is readable and of known identity; nothing can be learned")
    return LabelledFaces(faces, known) if len(rows) == len(faces) else LabelledFaces(faces[rows], known[rows])


def load_labelled(embeddings: Path, labels: Path | None, unreadable: Unreadable = "refuse") -> LabelledFaces:
    """Reads faces with their identities, and leaves out those that are unreadable or unknown.

    Raises:
        InputError: No labels, of another length, or fewer than two identities with two faces or more.
    """
    rows = len(load_labels(labels)) if labels is not None and embeddings.suffix == ".bin" else None  # gives its shape
    faces = load_embeddings(embeddings, rows=rows, unreadable=unreadable)
    known = faces.labels_in(labels)
    if known is None:
        raise InputError(f"{embeddings}: no labels.npy beside the embeddings, and no labels in them; give --labels")
    say_if_unlike(labels or embeddings, known, faces)
    usable = np.flatnonzero((known >= 0) & faces.readable)
    check_repeated(known[usable], labels or embeddings)
    return LabelledFaces(np.ascontiguousarray(faces.embeddings[usable]), known[usable])


def check_repeated(identities: np.ndarray, source: object) -> None:
    """Refuses labels on which nothing can be tuned: two people must have two faces each.

    Raises:
        InputError: Fewer people have two faces; the message begins with the source.
    """
    repeated = repeated_identities(identities)
    if repeated < 2:
        raise InputError(f"{source}: {counted(repeated, 'identity')} with two faces or more; at least two are needed")


def repeated_identities(identities: np.ndarray) -> int:
    """How many of the identities, int64 [n], have two faces or more."""
    return int(np.count_nonzero(np.unique(identities, return_counts=True)[1] > 1))


def split(faces: LabelledFaces, share: float, seed: int) -> tuple[LabelledFaces, LabelledFaces]:
    """A share of the identities with their faces, and the others with theirs.

    Identities of one face are shared out by themselves, so that both parts have people with several faces.
    """
    identities, sizes = np.unique(faces.labels, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(identities))
    parts = order[sizes[order] > 1], order[sizes[order] == 1]
    first = np.concatenate([part[: round(share * len(part))] for part in parts])
    chosen = np.isin(faces.labels, identities[first])
    return LabelledFaces(*(part[chosen] for part in faces)), LabelledFaces(*(part[~chosen] for part in faces))


def can_be_split(faces: LabelledFaces) -> bool:
    """Whether `split` by `HELD_BACK` leaves `FEWEST` identities of two faces or more in both parts."""
    identities = repeated_identities(faces.labels)
    held_back = round(HELD_BACK * identities)
    return min(held_back, identities - held_back) >= FEWEST


def split_identities(faces: LabelledFaces, seed: int) -> tuple[LabelledFaces, LabelledFaces]:
    """Faces to learn from and faces to validate on, of different identities.

    Raises:
        InputError: Too few identities for both.
    """
    if not can_be_split(faces):
        raise InputError(
            f"{counted(repeated_identities(faces.labels), 'identity')}: too few with two faces or more to hold half of "
            "them back for validation; use train"
        )
    held, rest = split(faces, HELD_BACK, seed)
    return rest, held
