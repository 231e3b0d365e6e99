"""A protocol's faces to templates: which embedding each face has, its weight, and how templates were made."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.templates import Templates, pool, with_empty
from eval.protocols.matching import match_faces
from eval.protocols.names import find_rows
from eval.protocols.protocol import Faces, Protocol
from eval.protocols.tables import read_table
from facerec.pipeline.embedding_files import read_embedding_file
from facerec.pipeline.embeddings import UNIT_TOLERANCE, Unreadable, load_embeddings
from facerec.pipeline.files import InputError, blocks, load_array, read_json

logger = logging.getLogger(__name__)
POINTS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "x5", "y5")


def pool_protocol(
    files: Protocol,
    embeddings: Path,
    norm: str,
    detector_scores: Path | None,
    refuse: bool = True,
    unreadable: Unreadable = "refuse",
) -> Templates:
    """All templates of a protocol, those without an embedding as well.

    Args:
        files: The protocol.
        embeddings: Embedding folder, or a file of embeddings.
        norm: ``removed`` or ``kept``: the length of a face's embedding.
        detector_scores: File of the faces' weights, see `load_scores`.
        refuse: Whether a face without embedding is an error; otherwise it is as one that could not be read.
        unreadable: See `load_embeddings`.

    Raises:
        InputError: Another `norm`, embeddings or scores that do not fit the faces, or no readable face at all.
    """
    if norm not in ("removed", "kept"):
        raise InputError(f"--norm {norm}; removed or kept")
    weights = load_scores(detector_scores, files.faces) if detector_scores else None
    embedded = load_embeddings(embeddings, unreadable=unreadable)
    vectors = embedded.embeddings
    rows = match_faces(files.faces, embedded.keys, len(vectors), embeddings, refuse)
    known = rows >= 0
    rows, weights = rows[known], None if weights is None else weights[known]
    if norm == "kept":
        lengths = load_lengths(embeddings, len(vectors))[rows]
        weights = lengths if weights is None else weights * lengths
    pooled = pool(vectors, rows, files.faces.template[known], files.faces.media[known], weights)
    templates = with_empty(pooled, files.templates, int(np.count_nonzero(~known)))
    if templates.empty == len(templates.ids):
        raise InputError(f"{embeddings}: every embedding of the protocol's faces is zero; nothing to compare")
    return templates


def template_options(files: Protocol, embeddings: Path, norm: str, detector_scores: Path | None) -> dict[str, Any]:
    """How the templates were made; whether mirrored faces went in is known where we embedded them."""
    meta = embeddings / "meta.json"
    flip = read_json(meta).get("config", {}).get("flip") if meta.exists() else None
    return {
        "layout": files.layout,
        "media": "mean of faces",
        "template": "sum of media, unit length",
        "norm": norm,
        "detector_scores": detector_scores is not None,
        "flip": flip,
    }


def load_lengths(path: Path, rows: int) -> np.ndarray:
    """The lengths that embeddings had before they were normalised, float64 [n].

    From ``norms.npy``, as ``facerec embed`` writes it; without it those of the embeddings as they are in the file.

    Args:
        path: Embedding folder, or a file of embeddings.
        rows: n.

    Raises:
        InputError: Every row has unit length and there is no ``norms.npy``; or one of another length or with values
            that are no lengths.
    """
    noted = noted_lengths(path, rows)
    if noted is not None:
        return noted
    embeddings = read_embedding_file(path / "embeddings.npy" if path.is_dir() else path).embeddings
    lengths = np.concatenate([np.linalg.norm(block.astype(np.float64), axis=1) for block in blocks(embeddings)])
    lengths = np.where(np.isfinite(lengths), lengths, 0)  # of rows that are left out
    if np.all((np.abs(lengths - 1) < UNIT_TOLERANCE) | (lengths == 0)):
        raise InputError(
            f"{path}: --norm kept, but every embedding has unit length and there is no norms.npy beside them; give "
            "embeddings as the recogniser makes them, or leave --norm out"
        )
    return lengths


def noted_lengths(path: Path, rows: int) -> np.ndarray | None:
    """The lengths in ``norms.npy`` of an embedding folder, float64 [n]; None without this file.

    Raises:
        InputError: Another number of values, or values that are no lengths.
    """
    file = path / "norms.npy"
    if not path.is_dir() or not file.exists():
        return None
    lengths = np.asarray(load_array(file, kind="f", ndim=1), dtype=np.float64)
    if len(lengths) != rows:
        raise InputError(f"{file}: {len(lengths)} values for {rows} embeddings; expected a length for each")
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths >= 0)))
    if bad.size:
        raise InputError(f"{file}: {lengths[bad[0]]} in row {bad[0]}; lengths are finite and not negative")
    return lengths


def load_scores(path: Path, faces: Faces) -> np.ndarray:
    """Reads a detector's score for each face, float64 [n], in the order of the protocol's faces.

    Lines with the names of the protocol's faces may stand in any order. Where none of the names is known, line i is
    face i, as in a .npy file.

    Args:
        path: A .npy file of floats, or a text file of insightface's layout: name, ten coordinates, score.
        faces: Those of the protocol.

    Raises:
        InputError: Missing or malformed, of another length, without a line for a face, negative, NaN or infinite, or
            all 0.
    """
    if path.suffix == ".npy":
        scores = np.asarray(load_array(path, kind="f", ndim=1), dtype=np.float64)
    else:
        columns = {"name": "string", **dict.fromkeys((*POINTS, "score"), "float64")}
        table = read_table(path, columns)
        scores = _by_name(table["name"].combine_chunks(), table["score"].to_numpy(), faces, path)
    if len(scores) != len(faces.template):
        raise InputError(
            f"{path}: {len(scores)} scores for {len(faces.template)} faces of the protocol; one for each, in its order"
        )
    bad = np.flatnonzero(~np.isfinite(scores) | (scores < 0))
    if bad.size:
        raise InputError(f"{path}: score {scores[bad[0]]} of face {bad[0]}; scores are finite and not negative")
    if not scores.any():
        raise InputError(f"{path}: every score is 0, so that no face has weight")
    return scores


def _by_name(names: Any, scores: np.ndarray, faces: Faces, path: Path) -> np.ndarray:
    """The scores in the order of the faces, or as they are where no name is one of theirs."""
    if names.equals(faces.names):
        return scores
    rows = find_rows(faces.names, names.to_pylist(), path)
    missing = np.flatnonzero(rows < 0)
    if missing.size == len(rows):
        logger.warning("%s: none of its names is a face of the protocol; line i is taken for face i", path)
        return scores
    if missing.size:
        face = int(missing[0])
        raise InputError(
            f"{faces.where(face)}: face {faces.names[face].as_py()!r} has no score in {path} ({missing.size} of "
            f"{len(rows)} faces have none)"
        )
    return scores[rows]
