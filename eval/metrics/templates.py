"""Faces to templates: the mean of a media's faces, summed over the template's media, at unit length.

Source: the IJB evaluation of insightface (``recognition/_evaluation_/ijb``), as its comments describe it. Options: a
weight a face (a detector's score), and whether the length of a face's embedding counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.protocols.tables import read_table
from facerec.pipeline.files import BLOCK_ROWS, InputError, load_array

FACES_PER_BLOCK = 8_192
POINTS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "x5", "y5")


@dataclass(frozen=True)
class Templates:
    """Pooled features.

    Attributes:
        ids: int64 [t], rising.
        features: float64 [t, d], unit rows; zero where a template has no readable face.
        media: Number of media with a readable face, over all templates.
        unreadable_faces: Number of faces with a zero embedding; they carry no weight.
        empty: Number of templates with a zero feature.
    """

    ids: np.ndarray
    features: np.ndarray
    media: int
    unreadable_faces: int
    empty: int


def pool(
    embeddings: np.ndarray,
    rows: np.ndarray,
    template: np.ndarray,
    media: np.ndarray,
    weights: np.ndarray | None = None,
) -> Templates:
    """Pools faces into templates in one pass; memory for one block of faces and for all templates.

    A face's vector is its weight times its embedding. A media's is the sum of its faces' vectors over the number of its
    readable faces: so a medium of poor faces counts less, as in the widely used scripts.

    Args:
        embeddings: float [m, d]; zero rows are faces that could not be read; may be a memory map.
        rows: int64 [n], the embedding of each face.
        template: int64 [n], its template id.
        media: int64 [n], its media id within the template.
        weights: float [n], finite and not negative; all 1 if None.
    """
    order = np.lexsort((media, template))
    rows, template, media = rows[order], template[order], media[order]
    weights = np.ones(len(rows)) if weights is None else weights[order].astype(np.float64)
    ids, position = np.unique(template, return_inverse=True)
    starts = np.flatnonzero(np.r_[True, (template[1:] != template[:-1]) | (media[1:] != media[:-1])])
    sums = np.zeros((len(ids), embeddings.shape[1]))
    readable_media, readable_faces = 0, 0
    for first, last in _blocks(starts, len(rows)):
        block = embeddings[rows[first:last]]
        readable = block.any(axis=1)
        begins = starts[np.searchsorted(starts, first) : np.searchsorted(starts, last)] - first
        sizes = np.add.reduceat(readable, begins, dtype=np.int64)
        share = weights[first:last] / np.repeat(np.maximum(sizes, 1), np.diff(np.r_[begins, last - first]))
        _add(sums, position[first:last], share, block)
        readable_media += int(np.count_nonzero(sizes))
        readable_faces += int(np.count_nonzero(readable))
    features = unit(sums)
    empty = int(np.count_nonzero(~features.any(axis=1)))
    return Templates(ids, features, readable_media, len(rows) - readable_faces, empty)


def pool_subjects(features: np.ndarray, subject: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One feature a subject: the sum of its templates' features, at unit length.

    Args:
        features: float64 [t, d].
        subject: int64 [t].

    Returns:
        Subject ids, rising, int64 [s], and features, float64 [s, d].
    """
    ids, position = np.unique(subject, return_inverse=True)
    sums = np.zeros((len(ids), features.shape[1]))
    order = np.argsort(position, kind="stable")
    for start in range(0, len(order), FACES_PER_BLOCK):
        block = order[start : start + FACES_PER_BLOCK]
        _add(sums, position[block], np.ones(len(block)), features[block])
    return ids, unit(sums)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of unit length; zero rows stay zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1, norms)


def load_lengths(path: Path) -> np.ndarray:
    """Embeddings as they are in the file, lengths kept; float [n, d], a memory map.

    Raises:
        InputError: No embeddings there, or NaN or infinite values.
    """
    file = path / "embeddings.npy" if path.is_dir() else path
    embeddings = load_array(file, kind="f", ndim=2)
    for start in range(0, len(embeddings), BLOCK_ROWS):
        bad = np.flatnonzero(~np.isfinite(embeddings[start : start + BLOCK_ROWS]).all(axis=1))
        if bad.size:
            raise InputError(f"{file}: row {start + bad[0]} has NaN or infinite values; recompute it")
    return embeddings


def load_scores(path: Path, faces: int) -> np.ndarray:
    """Reads a detector's score for each face, float64 [n], in the order of the protocol's faces.

    Args:
        path: A .npy file of floats, or a text file of insightface's layout: name, ten coordinates, score.
        faces: How many there must be.

    Raises:
        InputError: Missing or malformed, of another length, negative, NaN or infinite, or all 0.
    """
    if path.suffix == ".npy":
        scores = np.asarray(load_array(path, kind="f", ndim=1), dtype=np.float64)
    else:
        columns = {"name": "string", **dict.fromkeys((*POINTS, "score"), "float64")}
        scores = read_table(path, columns)["score"].to_numpy()
    if len(scores) != faces:
        raise InputError(f"{path}: {len(scores)} scores for {faces} faces of the protocol; one for each, in its order")
    bad = np.flatnonzero(~np.isfinite(scores) | (scores < 0))
    if bad.size:
        raise InputError(f"{path}: score {scores[bad[0]]} of face {bad[0]}; scores are finite and not negative")
    if not scores.any():
        raise InputError(f"{path}: every score is 0, so that no face has weight")
    return scores


def _blocks(starts: np.ndarray, end: int) -> list[tuple[int, int]]:
    """Ranges of about FACES_PER_BLOCK faces that cut no medium in two."""
    cuts = np.unique(starts[np.searchsorted(starts, np.arange(0, end, FACES_PER_BLOCK), side="right") - 1])
    return list(zip(cuts.tolist(), [*cuts[1:].tolist(), end], strict=True))


def _add(sums: np.ndarray, position: np.ndarray, weight: np.ndarray, vectors: np.ndarray) -> None:
    """Adds weight * vectors to rows `position` (not falling) of `sums`, in double precision."""
    from scipy.sparse import csr_matrix

    first, last = position[0], position[-1] + 1
    pointers = np.searchsorted(position, np.arange(first, last + 1))
    matrix = csr_matrix((weight, np.arange(len(position)), pointers), shape=(last - first, len(position)))
    sums[first:last] += matrix @ vectors.astype(np.float64)
