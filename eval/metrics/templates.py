"""Faces to templates: the mean of a media's faces, summed over the template's media, at unit length.

Source: the IJB evaluation of insightface (``recognition/_evaluation_/ijb``), as its comments describe it. Options: a
weight a face (a detector's score), and whether the length of a face's embedding counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from facerec.pipeline.files import InputError, blocks, row_blocks
from facerec.pipeline.values import as_array, as_labels, conversion

FACES_PER_BLOCK = 8_192
UNIT_SQUARES = 1e-6
"""How far from 1 the squared length of a row is that float32 has rounded; more would move cosines."""


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

    A face's vector is its weight times its embedding. A medium's vector is the sum of its faces' vectors, divided by
    the number of its readable faces. So a medium of poor faces counts less, as in the widely used scripts.

    Args:
        embeddings: float [m, d]; zero rows are faces that could not be read; may be a memory map.
        rows: int64 [n], the embedding of each face.
        template: int64 [n], its template id.
        media: int64 [n], its media id within the template.
        weights: float [n], finite and not negative; all 1 if None.

    Raises:
        InputError: Arrays of other shapes or types, no face, a row that is not there, NaN or infinite values.
    """
    embeddings, rows = as_array("embeddings", embeddings), as_labels("rows", rows)
    template, media = as_labels("template ids", template, len(rows)), as_labels("media ids", media, len(rows))
    weights = np.ones(len(rows)) if weights is None else as_array("weights", weights)
    _check(embeddings, rows, weights)
    order = np.lexsort((media, template))
    rows, template, media = rows[order], template[order], media[order]
    weights = weights[order].astype(np.float64)
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
    if not np.isfinite(sums).all():
        bad = ids[np.argmin(np.isfinite(sums).all(axis=1))]
        raise InputError(f"embeddings: NaN or infinite values in a face of template {bad}; recompute them")
    features = unit(sums)
    empty = int(np.count_nonzero(~features.any(axis=1)))
    return Templates(ids, features, readable_media, len(rows) - readable_faces, empty)


def _check(embeddings: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> None:
    """Refuses embeddings that are no matrix, rows that it does not have, and weights that are not one each."""
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        raise InputError(f"embeddings: {embeddings.dtype} of shape {list(embeddings.shape)}; expected numbers [m, d]")
    if not len(rows) or rows.min() < 0 or rows.max() >= len(embeddings):
        found = f"{rows.min()} to {rows.max()}" if len(rows) else "none"
        raise InputError(f"rows are {found}; expected one for each face, from 0 to {len(embeddings) - 1}")
    are_numbers = weights.shape == rows.shape and weights.dtype.kind in "fiu"
    if not are_numbers or not np.all((weights >= 0) & (weights < np.inf)):
        raise InputError(
            f"weights: {weights.dtype} of shape {list(weights.shape)} for {len(rows)} faces; expected numbers [n], "
            "finite and not negative"
        )


def with_empty(templates: Templates, ids: np.ndarray, faces: int) -> Templates:
    """The same with a zero feature for each further id.

    Args:
        templates: Pooled.
        ids: int64 [t], rising, all that there are.
        faces: Number of faces that have no embedding.
    """
    features = np.zeros((len(ids), templates.features.shape[1]))
    features[np.searchsorted(ids, templates.ids)] = templates.features
    empty = templates.empty + len(ids) - len(templates.ids)
    return Templates(ids, features, templates.media, templates.unreadable_faces + faces, empty)


def pool_subjects(features: np.ndarray, subject: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One feature a subject: the sum of its templates' features, at unit length.

    Args:
        features: float64 [t, d].
        subject: int64 [t].

    Returns:
        Subject ids, rising, int64 [s], and features, float64 [s, d].

    Raises:
        InputError: `features` is no matrix, or there is not one subject for each row.
    """
    features = as_array("features", features)
    if features.ndim != 2:
        raise InputError(f"features: shape {list(features.shape)}; expected [t, d]")
    subject = as_labels("subjects", subject, len(features))
    ids, position = np.unique(subject, return_inverse=True)
    sums = np.zeros((len(ids), features.shape[1]))
    order = np.argsort(position, kind="stable")
    for block in blocks(order, FACES_PER_BLOCK):
        _add(sums, position[block], np.ones(len(block)), features[block])
    return ids, unit(sums)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of unit length; zero rows stay zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1, norms)


def unit_rows(features: Any, name: str) -> np.ndarray:
    """Features of any float type as they are if their rows have unit length or are zero, else normalised; [n, d].

    Raises:
        InputError: Not a matrix of numbers, no row, NaN or infinite values.
    """
    rows = as_array(name, features)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.size:
        found = f"{name}: {rows.dtype} with shape {list(rows.shape)}"
        raise InputError(f"{found}; expected numbers [n, d]{conversion(rows)}")
    is_unit = rows.dtype in (np.float32, np.float64)
    rows = rows if is_unit else rows.astype(np.float64)
    for some in row_blocks(len(rows)):
        block = rows[some]
        squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
        other = np.flatnonzero(~(np.abs(squares - 1) < UNIT_SQUARES))
        bad = other[~np.isfinite(block[other]).all(axis=1)]
        if bad.size:
            raise InputError(f"{name}: row {some.start + bad[0]} has NaN or infinite values; recompute it")
        is_unit &= not block[other].any()
    if is_unit:
        return rows
    rows = rows.astype(np.float64)
    exponent = np.frexp(np.maximum(rows.max(axis=1), -rows.min(axis=1)))[1]
    np.ldexp(rows, -exponent[:, None], out=rows)  # exact, and then squares can be neither infinite nor zero
    return unit(rows)


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
