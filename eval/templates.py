"""Faces to templates: the mean of a media's faces, summed over the template's media, at unit length.

Source: the IJB evaluation of insightface (``recognition/_evaluation_/ijb``), without flip fusion by feature
addition and without weighting by detector score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FACES_PER_BLOCK = 65_536


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


def pool(embeddings: np.ndarray, rows: np.ndarray, template: np.ndarray, media: np.ndarray) -> Templates:
    """Pools faces into templates; memory for one block of faces and for all templates.

    Args:
        embeddings: float [m, d], unit or zero rows; may be a memory map.
        rows: int64 [n], the embedding of each face.
        template: int64 [n], its template id.
        media: int64 [n], its media id within the template.
    """
    order = np.lexsort((media, template))
    rows, template, media = rows[order], template[order], media[order]
    readable = _readable(embeddings, rows)
    ids, position = np.unique(template, return_inverse=True)
    starts = np.r_[True, (template[1:] != template[:-1]) | (media[1:] != media[:-1])]
    group = np.cumsum(starts) - 1
    sizes = np.bincount(group, weights=readable)
    weight = readable / np.maximum(sizes, 1)[group]
    features = unit(_weighted_sums(embeddings, rows, weight, position, len(ids)))
    return Templates(
        ids,
        features,
        media=int(np.count_nonzero(sizes)),
        unreadable_faces=int(len(rows) - np.count_nonzero(readable)),
        empty=int(np.count_nonzero(~features.any(axis=1))),
    )


def pool_subjects(features: np.ndarray, subject: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One feature a subject: the sum of its templates' features, at unit length.

    Args:
        features: float64 [t, d].
        subject: int64 [t].

    Returns:
        Subject ids, rising, int64 [s], and features, float64 [s, d].
    """
    ids, position = np.unique(subject, return_inverse=True)
    return ids, unit(_weighted_sums(features, np.arange(len(subject)), np.ones(len(subject)), position, len(ids)))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of unit length; zero rows stay zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1, norms)


def _readable(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    blocks = np.array_split(rows, len(rows) // FACES_PER_BLOCK + 1)
    return np.concatenate([np.any(embeddings[block] != 0, axis=1) for block in blocks])


def _weighted_sums(
    vectors: np.ndarray, rows: np.ndarray, weight: np.ndarray, position: np.ndarray, count: int
) -> np.ndarray:
    """Sums weight * vectors[rows] by position, float64 [count, d]."""
    from scipy.sparse import csr_matrix

    order = np.argsort(position, kind="stable")
    sums = np.zeros((count, vectors.shape[1]))
    for block in np.array_split(order, len(order) // FACES_PER_BLOCK + 1):
        first, last = position[block[0]], position[block[-1]]
        entries = (weight[block], (position[block] - first, np.arange(len(block))))
        matrix = csr_matrix(entries, shape=(last - first + 1, len(block)))
        sums[first : last + 1] += matrix @ vectors[rows[block]].astype(np.float64)
    return sums
