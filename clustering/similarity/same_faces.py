"""Whether clusters and embeddings are of the same faces.

A command that makes clusters writes ``cosines.npy`` beside them: the cosines of some pairs of rows, drawn by the number
of rows alone. With them, embeddings are recognised as those that were clustered, whatever their file, float type and
length. Of other clusters only this can be said: faces of one cluster should be more alike than faces of two.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, load_array
from facerec.pipeline.label_files import refuse_other_order

FILE = "cosines.npy"
PAIRS = 256
TOLERANCE = 2e-3  # float16 embeddings
DRAWS, FEWEST_DRAWS, FEWEST_TOGETHER = 1000, 50, 10
LEAST_SHARE = 0.6
"""Of the draws in which two faces of one cluster have a higher cosine than two of different ones; by chance 0.5."""

logger = logging.getLogger(__name__)


def save_cosines(embeddings: np.ndarray, clusters: Path) -> None:
    """Writes float32 [PAIRS] into an existing folder.

    Args:
        embeddings: float32 [n, d] of the clustered faces, unit or zero rows.
        clusters: The folder.
    """
    np.save(clusters / FILE, _cosines(embeddings, _pairs(len(embeddings))).astype(np.float32), allow_pickle=False)


def check_faces(clusters: Path, labels: np.ndarray, faces: EmbeddingSet) -> None:
    """Refuses embeddings of other faces than those that were clustered; if nothing is known, warns of doubtful ones.

    Args:
        clusters: Folder of the clusters, or a .npy file of labels, of which nothing is known.
        labels: int64 [n], -1 for unassigned.
        faces: The n faces.

    Raises:
        InputError: The cosines that were noted are not those of these embeddings, or their file cannot be used; faces
            that both name, in another order.
    """
    refuse_other_order(clusters, faces.path, faces.keys)
    if clusters.is_dir() and (clusters / FILE).exists():
        _check_cosines(clusters, faces)
    else:
        say_if_unlike(clusters, labels, faces)


def say_if_unlike(origin: Path, labels: np.ndarray, faces: EmbeddingSet) -> None:
    """Logs a warning if faces of one label are no more alike than faces of two.

    Args:
        origin: Origin of the labels, for the message.
        labels: int64 [n], clusters or identities, -1 for none.
        faces: The n faces.
    """
    share = share_of_likelier_pairs(labels, faces)
    if share is not None and share < LEAST_SHARE:
        logger.warning(
            "%s: faces of one label are no more alike than faces of two (%.0f %% of draws, by chance 50); are these "
            "the labels of %s, in its order?", origin, 100 * share, faces.path,
        )  # fmt: skip


def say_if_strangers(origin: Path, together: np.ndarray, faces: EmbeddingSet) -> None:
    """Logs a warning if pairs of faces that a person called the same are no more alike than any two faces.

    That shows that their rows or names are those of other faces, or that the order has changed.

    Args:
        origin: Origin of the answers, for the message.
        together: int64 [m, 2], rows. Of fewer than `FEWEST_TOGETHER` nothing is said.
        faces: The faces.
    """
    if len(together) < FEWEST_TOGETHER:
        return
    one, other = np.tile(together, (-(-DRAWS // len(together)), 1)).T
    strangers = np.random.default_rng(0).integers(len(faces), size=len(one))
    alike, unlike = (_cosines(faces.embeddings, np.stack([one, x])) for x in (other, strangers))
    share = float(np.mean(alike > unlike))
    if share < LEAST_SHARE:
        by, order = ("rows", ", in its order") if faces.keys is None else ("names", "")
        logger.warning(
            "%s: faces of the same person, by their %s, are no more alike than any two (%.0f %% of draws, by chance "
            "50); are these %s of %s%s?", origin, by, 100 * share, by, faces.path, order,
        )  # fmt: skip


def _check_cosines(clusters: Path, faces: EmbeddingSet) -> None:
    noted = load_array(clusters / FILE, kind="f", ndim=1)
    if len(noted) != PAIRS:
        raise InputError(f"{clusters / FILE}: {len(noted)} values, expected {PAIRS}; cluster again")
    pairs = _pairs(len(faces))
    found = _cosines(faces.embeddings, pairs)
    wrong = ~(np.abs(noted - found) < TOLERANCE)
    if wrong.any():
        at = int(wrong.argmax())
        one, other = pairs[:, at]
        raise InputError(
            f"{clusters}: clusters of other embeddings than {faces.path} (rows {one} and {other}: cosine "
            f"{noted[at]:.3f} there, {found[at]:.3f} here); give those, or labels.npy alone if you mean it"
        )


def share_of_likelier_pairs(labels: np.ndarray, faces: EmbeddingSet) -> float | None:
    """How often two faces of one cluster have a higher cosine than one of them with a face of another cluster.

    Args:
        labels: int64 [n], -1 for unassigned.
        faces: The n faces; zero rows are left out.

    Returns:
        A share of up to `DRAWS` draws, ties counted half; None if fewer than `FEWEST_DRAWS` can be made.
    """
    rows = np.flatnonzero((labels >= 0) & faces.readable)
    rows = rows[np.argsort(labels[rows], kind="stable")]
    _, first, cluster, sizes = np.unique(labels[rows], return_index=True, return_inverse=True, return_counts=True)
    usable = np.flatnonzero((sizes[cluster] > 1) & (sizes[cluster] < len(rows)))
    if len(usable) < FEWEST_DRAWS:
        return None
    generator = np.random.default_rng(0)
    places = generator.choice(usable, min(DRAWS, len(usable)), replace=False)
    size, start = sizes[cluster[places]], first[cluster[places]]
    mates = start + (places - start + generator.integers(1, size)) % size
    strangers = (start + size + generator.integers(len(rows) - size)) % len(rows)
    alike, unlike = (_cosines(faces.embeddings, np.stack([rows[places], rows[x]])) for x in (mates, strangers))
    return float(np.mean(alike > unlike) + np.mean(alike == unlike) / 2)


def _pairs(rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(rows, size=(2, PAIRS))


def _cosines(embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    one, other = (np.asarray(embeddings[rows], np.float64) for rows in pairs)
    return np.einsum("nd,nd->n", one, other)
