"""Whether clusters and embeddings are of the same faces, and embeddings and models of the same recogniser.

A command that makes clusters writes ``cosines.npy`` beside them: the cosines of some pairs of rows, drawn by the number
of rows alone. With them, embeddings are recognised as those that were clustered, whatever their file, float type and
length. Of other clusters only this can be said: faces of one cluster should be more alike than faces of two.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, load_array, read_json
from facerec.pipeline.label_files import refuse_other_order

FILE = "cosines.npy"
PAIRS = 256
TOLERANCE = 2e-3  # float16 embeddings
DRAWS, FEWEST_DRAWS = 1000, 50
WAYS = {"mean": None, "std": None, "channels": "rgb", "output": None, "input_size": None}
"""Settings of ``facerec embed`` that make embeddings of another kind, and their defaults."""
LEAST_SHARE = 0.6
"""Of the draws in which two faces of one cluster have a higher cosine than two of different ones; by chance 0.5."""

logger = logging.getLogger(__name__)
learned_elsewhere = logging.getLogger(f"{__name__}.learned")
"""Logger of warnings about models that learned from another recogniser. The recipe, which means that, turns it off."""


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


def check_recogniser(faces: EmbeddingSet, others: EmbeddingSet) -> None:
    """Logs a warning if two embedding sets to be compared are known to come from different recognisers.

    Sets of one recogniser count as different if their pixels were prepared differently, or if only one is whitened.
    """
    one, other = (_made_by(each.path) for each in (faces, others))
    if one and other and one[0] != other[0]:
        logger.warning(
            "%s: %s, but %s %s; if these are two recognisers, or two ways to use one, cosines between them mean "
            "nothing: make both alike", others.path, other[1], faces.path, one[1],
        )  # fmt: skip


def noted_recogniser(embeddings: Path) -> dict[str, Any]:
    """For meta.json of a model: the recogniser of the faces it learns from; empty if it is unknown."""
    found = _made_by(embeddings)
    return {} if found is None else {"recogniser": found}


def check_model(model: Path, faces: EmbeddingSet) -> None:
    """Logs a warning if a model is known to have learned from another recogniser's embeddings.

    Args:
        model: Folder made by `tune` or `train`. Nothing is known of other folders.
        faces: The faces to cluster.
    """
    try:
        made_by, in_words = read_json(model / "meta.json")["results"]["recogniser"]
    except (InputError, KeyError, TypeError, ValueError):
        return
    _say_if_learned_elsewhere(model, (made_by, in_words), faces)


def check_labelled(labelled: Path, faces: EmbeddingSet) -> None:
    """Logs a warning if backends are about to be tuned on embeddings of a recogniser known to be another one."""
    _say_if_learned_elsewhere(labelled, _made_by(labelled), faces)


def _say_if_learned_elsewhere(origin: Path, learned: tuple[list[Any], str] | None, faces: EmbeddingSet) -> None:
    made = _made_by(faces.path)
    if learned and made and learned[0] != made[0]:
        learned_elsewhere.warning(
            "%s: learned from faces %s, but %s is %s; what is right for one recogniser may be wrong for another: tune "
            "on labelled faces of this one, unless you mean it", origin, learned[1], faces.path, made[1],
        )  # fmt: skip


def _made_by(path: Path) -> tuple[list[Any], str] | None:
    """An embedding set's recogniser and preparation, to compare with other sets, and in words; None if unknown."""
    try:
        noted = read_json(path / "meta.json")
        if noted["inputs"].get("people") and noted["results"]["whitened"]:
            people = noted["inputs"]["people"]
            return ["whitened", people["hash"]], f"whitened by {people['path']}"
        model, config = noted["inputs"]["model"], noted.get("config", {})
        ways = {name: config.get(name, usual) for name, usual in WAYS.items()}
        unusual = "".join(f", {name} {value}" for name, value in ways.items() if value != WAYS[name])
        return [model["hash"], ways], f"embedded by {model['path']}{unusual}"
    except (InputError, KeyError, TypeError, AttributeError):
        return None


def _pairs(rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(rows, size=(2, PAIRS))


def _cosines(embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    one, other = (np.asarray(embeddings[rows], np.float64) for rows in pairs)
    return np.einsum("nd,nd->n", one, other)
